"""Notices to people: the outbox, and how notices are sent."""
