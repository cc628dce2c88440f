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


class Known(NamedTuple):
    """What is known of one symbol, and of the market, when the symbol is scored.

    `alerts` are those that count, and `flow` is what they add up to: -1 to 1, or None if no usable reply was about this
    symbol, or too little is known of its trailing premium. `scale_usd` is the premium that its alerts are measured
    against, and `lacking` counts the alerts without a field that a filter reads. `sector` is the symbol's, in the
    configuration's words. Facts older than `lookback` say nothing about now.
    """

    now: datetime
    lookback: timedelta
    scale_usd: float | None
    market: Mapping[str, object]
    facts: SymbolFacts
    alerts: Sequence[FlowAlert] = ()
    flow: float | None = None
    sector: str = ""
    lacking: int = 0

    @property
    def direction(self) -> int:
        """Return which way the flow leans: +1, -1 or 0."""
        return 0 if not self.flow else (1 if self.flow > 0 else -1)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreComponent:
    """A component of the flow score.

    `name` is used by weights and explanations. `reads` are the kinds of facts that it is computed from. Its value is
    from -1 to 1, and `sign` says what is bullish. It is None if the data is absent, which `absent` explains. Absent
    isn't zero: a fetch that found no alerts is a flow of zero, and no fetch at all is None.

    `formula` gives the value in terms of the names of its `inputs`, in the words of signals/formula.py: whoever has the
    inputs can compute the value. `after` is where the formula comes from, and `evidence` who found that it predicts
    returns; without evidence, a component is off by default. `inferred` says what of it the source doesn't define.
    `source` says briefly what it was computed from.

    Components of one `family` say the same thing in different ways: an entry needs agreeing families. A component that
    `follows` another is a share of that one's value, absent where that one is, and no evidence of its own. One that is
    `by_symbol` looks up its symbol in facts about the whole market, so that its value differs from symbol to symbol.
    """

    name: str
    family: str
    reads: tuple[AnyKind, ...]
    sign: str
    formula: str
    absent: str
    value: Callable[[Known], float | None]
    inputs: Callable[[Known], Iterable[Input]]
    source: Callable[[Known], str]
    after: str = ""
    evidence: str = ""
    follows: str = ""
    inferred: str = ""
    by_symbol: bool = False

    @property
    def market_wide(self) -> bool:
        """Return True if the value is the same for all symbols."""
        return not self.by_symbol and all(kind.market_wide for kind in self.reads)
