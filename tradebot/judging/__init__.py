"""The one judge: what was looked at of each part of the bot, how fresh it is, and what follows from it."""
