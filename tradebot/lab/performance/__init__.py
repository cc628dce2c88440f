"""Statistics of the account's performance."""
