"""Provide named points at which a test may kill this process."""
