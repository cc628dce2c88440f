"""`tradebot evaluate-exits`."""
