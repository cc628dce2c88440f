"""Trade US shares as Alpaca does: its admission rules, costs, corporate actions, options held, and New York's day."""
