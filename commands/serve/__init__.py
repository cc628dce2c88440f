"""`tradebot serve`."""
