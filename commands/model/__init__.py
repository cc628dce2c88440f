"""`tradebot model`."""
