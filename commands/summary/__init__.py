"""`tradebot summary`."""
