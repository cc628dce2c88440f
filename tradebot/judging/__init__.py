"""Judge the bot's health: for each component, the evidence examined, its age, and the verdict."""
