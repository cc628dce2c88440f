"""Pure functions that turn source rows into facts, and facts into features."""
