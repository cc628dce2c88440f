"""What we ask of the outside world: protocols only. Every implementation passes the same conformance suite.

What a strategy from another package needs can be imported from here.
"""

from tradebot.ports.strategy import ExplainedStrategy, OutsideSource, Strategy, StrategyDesk

__all__ = ["ExplainedStrategy", "OutsideSource", "Strategy", "StrategyDesk"]
