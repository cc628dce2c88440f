"""`tradebot learn`."""
