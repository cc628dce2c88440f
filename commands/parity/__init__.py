"""`tradebot parity`."""
