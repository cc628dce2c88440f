"""`tradebot status`."""
