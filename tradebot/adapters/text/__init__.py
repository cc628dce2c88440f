"""Canonical text, JSON and YAML, and keys kept out of them."""
