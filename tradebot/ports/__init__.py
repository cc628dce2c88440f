"""The protocols through which the bot reaches the outside world. Every implementation passes the same conformance
suite.

A strategy in another package can import everything it needs from here.
"""

from tradebot.model.candidate import Component, ScaleOutLevel, Side
from tradebot.model.costs import CostModel, Costs, round_trip
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.flow import FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.series import PriceKind, Series
from tradebot.model.view import (
    BarNeed,
    Close,
    FeatureNeed,
    Needs,
    Open,
    Reduce,
    Situation,
    SlotWants,
    StrategyView,
    Target,
    Want,
)
from tradebot.ports.strategy import ExplainedStrategy, OutsideSource, SessionStrategy, Strategy

__all__ = [
    "BarNeed",
    "Close",
    "Component",
    "CostModel",
    "Costs",
    "Decision",
    "ExplainedStrategy",
    "FeatureNeed",
    "FlowAlert",
    "Gate",
    "Lot",
    "Needs",
    "Open",
    "OutsideSource",
    "Position",
    "PriceKind",
    "Reason",
    "Reduce",
    "Right",
    "ScaleOutLevel",
    "Series",
    "SessionStrategy",
    "Side",
    "Situation",
    "SlotWants",
    "Strategy",
    "StrategyView",
    "SymbolFacts",
    "Target",
    "Verdict",
    "Want",
    "round_trip",
]
