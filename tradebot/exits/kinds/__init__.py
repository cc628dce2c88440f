"""The kinds of exit rules, one in each file."""
