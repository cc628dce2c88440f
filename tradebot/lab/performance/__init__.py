"""Compute statistics of the account's performance."""
