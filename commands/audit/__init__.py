"""`tradebot audit`."""
