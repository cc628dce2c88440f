"""`tradebot why-no-orders`."""
