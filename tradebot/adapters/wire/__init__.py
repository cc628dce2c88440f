"""Bounded HTTP, and reading foreign JSON field by field."""
