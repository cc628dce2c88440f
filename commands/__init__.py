"""What a person types: one verb per file."""
