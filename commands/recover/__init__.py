"""`tradebot recover`."""
