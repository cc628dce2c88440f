"""Alpaca: reading the account, sending orders."""
