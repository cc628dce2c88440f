"""`tradebot top`."""
