"""`tradebot replay`."""
