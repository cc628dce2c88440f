"""`tradebot pnl`: what the account earned, by day, strategy, reason and more."""
