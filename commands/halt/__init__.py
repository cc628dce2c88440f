"""`tradebot halt`."""
