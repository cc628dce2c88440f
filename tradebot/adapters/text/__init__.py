"""Canonical text, JSON and YAML, and hiding keys in texts."""
