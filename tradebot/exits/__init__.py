"""Exits: a position, its quote and the rules in, a decision out; pure."""
