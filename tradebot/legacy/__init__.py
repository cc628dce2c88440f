"""The strategy of the profile `legacy`: scores as the bot before this one did. Nothing else imports it."""
