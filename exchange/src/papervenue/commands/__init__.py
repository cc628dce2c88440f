"""Run the requests that change the exchange from their text, so that a replay of the log runs the same code."""
