"""`tradebot promote`."""
