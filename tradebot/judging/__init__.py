"""The only judge of the bot's health: what was examined of each component, how fresh it is, and the verdict."""
