"""Evaluate the bot from evidence; a result says what was examined, how much of it, and how old it is. All functions are
pure.
"""
