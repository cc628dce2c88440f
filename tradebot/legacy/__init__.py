"""The strategy of the profile `legacy`: it scores as the previous bot did. Nothing else imports it."""
