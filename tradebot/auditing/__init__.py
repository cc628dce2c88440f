"""Evaluate the bot from evidence: what was examined, how many, how fresh. All functions are pure."""
