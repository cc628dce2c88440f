"""Evaluate the bot from evidence: the items examined, their number, their age. All functions are pure."""
