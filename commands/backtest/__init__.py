"""`tradebot backtest`."""
