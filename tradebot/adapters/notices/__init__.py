"""Send notices to people: the outbox, and the sender."""
