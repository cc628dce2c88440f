"""What the account's fills became: trades, profit and loss, fees and taxes."""
