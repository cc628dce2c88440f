"""`tradebot fetch-flow`."""
