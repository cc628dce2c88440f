"""Gates and sizing: one candidate, the book and the limits in, decisions out; pure."""
