"""What the account earned: trades, profit and loss, taxes, and the statistics of its returns."""
