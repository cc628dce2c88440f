"""Health: what was looked at of each part of the bot, how many, how fresh, and what follows from it."""
