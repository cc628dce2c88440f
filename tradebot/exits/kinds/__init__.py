"""The kinds of exit rules, grouped by file."""
