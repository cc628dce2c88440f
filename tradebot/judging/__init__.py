"""The only judge of the bot's health: the evidence examined for each component, its age, and the verdict."""
