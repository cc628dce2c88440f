"""Learn from recorded outcomes: proposals for settings with their evidence, for a person to judge."""
