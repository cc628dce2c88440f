"""`tradebot report`: what an account earned, how sure that is, and what it is compared with."""
