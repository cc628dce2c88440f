"""A candidate: a wanted change of a position, with what it is made of."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tradebot.model.decision import Decision
from tradebot.model.instrument import Instrument

STRATEGY_SOURCE = "strategy"


class Purpose(StrEnum):
    """What an order is for; only OPEN adds risk."""

    OPEN = "open"
    REDUCE = "reduce"
    CLOSE = "close"


class Side(StrEnum):
    """Buy or sell, as sent to the venue."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """Return +1 for a buy and -1 for a sell."""
        return 1 if self is Side.BUY else -1


class ComponentName(StrEnum):
    """The components of the flow score; weights, explanation and health use these names and no others."""

    FLOW = "flow"
    DARK_POOL = "dark_pool"
    MARKET_TIDE = "market_tide"
    GREEK_EXPOSURE = "greek_exposure"
    IV_RANK = "iv_rank"
    OI_CHANGE = "oi_change"


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a score: `value` in -1..1 or None where its data is absent; its weight counts all the same."""

    name: ComponentName
    value: float | None
    weight: float
    source: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a strategy or an exit rule wants: score in -1..1, coverage 0..1, quantity unsigned or None before sizing."""

    strategy: str
    instrument: Instrument
    side: Side
    purpose: Purpose
    at: datetime
    score: float | None = None
    coverage: float | None = None
    components: tuple[Component, ...] = ()
    quantity: Decimal | None = None
    source: str = STRATEGY_SOURCE
    decisions: tuple[Decision, ...] = ()

    @property
    def reads_flow(self) -> bool:
        """Tell whether it was made from options flow; what comes from outside was not."""
        return self.source == STRATEGY_SOURCE

    @property
    def symbol(self) -> str:
        """Return the venue symbol."""
        return self.instrument.symbol
