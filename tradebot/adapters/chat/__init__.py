"""The chat: its protocol, and its stored state."""
