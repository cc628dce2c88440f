"""Trade the traces of large players in the candles: order blocks, gaps and breaks on four hours, long and short."""
