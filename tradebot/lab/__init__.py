"""History and research: backtests, search, training, parity, and the statistics of what was earned."""
