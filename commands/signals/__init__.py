"""`tradebot signals`."""
