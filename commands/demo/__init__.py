"""`tradebot demo`."""
