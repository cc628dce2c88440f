"""What recorded outcomes say about settings: proposals with their evidence, for a person to judge."""
