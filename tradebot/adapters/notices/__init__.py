"""Send notices to people: store them in an outbox, and send each one in its own process."""
