"""Provide the strategy of the profile `legacy`, which scores as the previous bot did. Nothing else imports it."""
