"""Trade on signs of large traders in four-hour bars: order blocks, gaps and breaks, long and short."""
