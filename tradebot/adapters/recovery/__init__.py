"""Backups, damage, and books made again."""
