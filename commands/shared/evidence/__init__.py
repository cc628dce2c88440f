"""What the bot left behind that its health is judged by: read from its folder, never from the broker."""
