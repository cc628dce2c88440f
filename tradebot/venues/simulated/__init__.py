"""A venue that only simulates orders, at the prices of a real one; for strategies in shadow."""
