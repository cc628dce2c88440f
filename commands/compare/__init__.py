"""`tradebot compare`."""
