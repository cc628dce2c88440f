"""`tradebot health`."""
