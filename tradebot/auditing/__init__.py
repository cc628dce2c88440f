"""The state of the bot judged from evidence: what was looked at, how many, how fresh; pure."""
