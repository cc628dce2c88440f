"""The requests that change the exchange, read from their text, so that a replay of the log is the same road."""
