"""`tradebot trade-once`."""
