"""Notices to people: what is still to be sent, and how it is sent."""
