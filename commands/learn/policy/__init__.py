"""`tradebot learn policy`."""
