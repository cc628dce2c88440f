"""What `tradebot doctor` looks at: one file for each side of the bot, each check a function that returns its row."""
