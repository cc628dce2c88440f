"""The chat: what goes over its wire, and what is kept of it."""
