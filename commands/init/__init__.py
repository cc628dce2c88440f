"""`tradebot init`."""
