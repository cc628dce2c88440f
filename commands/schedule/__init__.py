"""`tradebot schedule`."""
