"""`tradebot incident`."""
