"""Trades, profit and loss, fees and taxes, computed from the account's fills."""
