"""The kinds of exit rules, one file for those that act on the same thing."""
