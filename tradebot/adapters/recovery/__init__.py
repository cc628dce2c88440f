"""Backups, damaged books, and rebuilding them."""
