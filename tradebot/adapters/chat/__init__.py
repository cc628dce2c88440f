"""The chat adapter: the messenger's protocol, and the stored state."""
