"""Trade on signs of large traders in the candles: order blocks, gaps and breaks on four hours, long and short."""
