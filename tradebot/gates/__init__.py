"""Gates and sizing: pure functions that take a candidate, the current exposure and the limits, and return decisions."""
