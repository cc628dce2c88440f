"""`tradebot doctor`."""
