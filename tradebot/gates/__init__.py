"""Gates and sizing: pure functions that take a candidate, the book and the limits, and return decisions."""
