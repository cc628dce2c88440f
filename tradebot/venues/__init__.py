"""Venues: each in one folder, and what a door to one has."""
