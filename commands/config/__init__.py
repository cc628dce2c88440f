"""`tradebot config`."""
