"""`tradebot search`."""
