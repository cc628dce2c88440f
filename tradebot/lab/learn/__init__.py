"""Learn from recorded outcomes: propose settings, with their evidence, for the user to judge."""
