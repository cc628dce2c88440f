"""Trade US shares as Alpaca does: its admission rules, costs, corporate actions, option positions, and trading day."""
