"""Simulate orders at the prices of a real venue, for strategies in shadow."""
