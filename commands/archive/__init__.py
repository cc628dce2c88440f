"""`tradebot archive`."""
