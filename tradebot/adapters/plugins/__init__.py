"""Strategies that others wrote, each in a confined process."""
