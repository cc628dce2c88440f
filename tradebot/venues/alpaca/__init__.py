"""Connect to Alpaca: read the account and send orders."""
