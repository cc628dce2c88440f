"""`tradebot strategy`."""
