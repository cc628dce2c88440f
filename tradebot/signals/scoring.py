"""What makes a component of the flow score, and what it is computed from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from tradebot.model.flow import FlowAlert
from tradebot.model.inputs import Input
from tradebot.model.kind import AnyKind
from tradebot.model.record import SymbolFacts

USD = "USD"
SIGN = "-1, 0 or 1"


class Known(NamedTuple):
    """What is known of one symbol, and of the market, when the symbol is scored.

    `alerts` are those that count, and `flow` is what they add up to: -1 to 1, or None if no usable reply was about this
    symbol. Facts older than `lookback` say nothing about now.
    """

    now: datetime
    lookback: timedelta
    premium_scale_usd: float
    market: Mapping[str, object]
    facts: SymbolFacts
    alerts: Sequence[FlowAlert] = ()
    flow: float | None = None

    @property
    def direction(self) -> int:
        """Return which way the flow leans: +1, -1 or 0."""
        return 0 if not self.flow else (1 if self.flow > 0 else -1)

    @property
    def direction_input(self) -> Input:
        """Return the direction as an input of an explanation."""
        return Input("direction", self.direction, SIGN)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreComponent:
    """A component of the flow score.

    `name` is used by weights and explanations. `reads` are the kinds of facts that it is computed from. Its value is
    from -1 to 1, and `sign` says what is bullish. It is None if the data is absent, which `absent` explains. Absent
    isn't zero: a fetch that found no alerts is a flow of zero, and no fetch at all is None.

    `formula` gives the value in terms of the names of its `inputs`. `source` says briefly what it was computed from.
    """

    name: str
    reads: tuple[AnyKind, ...]
    sign: str
    formula: str
    absent: str
    value: Callable[[Known], float | None]
    inputs: Callable[[Known], Iterable[Input]]
    source: Callable[[Known], str]

    @property
    def market_wide(self) -> bool:
        """Return True if the value is the same for all symbols."""
        return all(kind.market_wide for kind in self.reads)
