"""The books held against the broker: facts are applied, differences become findings."""
