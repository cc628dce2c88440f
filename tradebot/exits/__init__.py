"""Exit rules: pure functions that take a position, its quote and the rules, and return a decision."""
