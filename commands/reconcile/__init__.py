"""`tradebot reconcile`."""
