"""`tradebot score`."""
