"""Strategies: features in, candidates out. Others join by the entry-point group tradebot.strategies."""
