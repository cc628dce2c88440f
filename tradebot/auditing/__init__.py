"""Evaluate the bot from evidence. Each result says what was examined, how much of it, and how old it is. All functions
are pure.
"""
