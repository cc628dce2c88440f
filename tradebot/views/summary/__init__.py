"""One session of the bot in words."""
