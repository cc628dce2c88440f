"""Manage the state folder: its files, its locks, its switches, and who may access it."""
