"""Judge the state of the bot from evidence: what was looked at, how many, how fresh. All functions are pure."""
