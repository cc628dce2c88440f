"""From wire rows to facts, and from facts to features; pure."""
