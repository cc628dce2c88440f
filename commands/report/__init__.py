"""`tradebot report`: what an account earned, how certain that is, and how it compares."""
