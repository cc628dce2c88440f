"""A venue that only simulates what orders do, at the prices of a real one; for strategies in shadow."""
