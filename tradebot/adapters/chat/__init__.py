"""The chat: its protocol, and what is stored of it."""
