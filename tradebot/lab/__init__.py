"""History and research: backtests, search, training, parity, and performance statistics."""
