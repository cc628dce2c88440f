"""Trade what large players leave in the candles: order blocks, gaps and breaks on four hours, long and short."""
