"""Port to a strategy, and what a strategy may see."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision
from tradebot.model.inputs import ComponentInputs
from tradebot.model.record import SymbolFacts, TideFacts


class Strategy(Protocol):
    """Turns features into candidates. It must be pure: it may run in a separate process that ends after one answer."""

    @property
    def name(self) -> str:
        """Return the name that its orders and lots carry."""

    def propose(self, desk: "StrategyDesk") -> Sequence[Candidate] | Decision:
        """Return a candidate per symbol looked at, even if refused; return a Decision to refuse the whole answer."""


@runtime_checkable
class OutsideSource(Protocol):
    """A strategy that passes on what others propose, and names them as the sources of its candidates."""

    @property
    def sources(self) -> frozenset[str]:
        """Return the sources that its candidates may name."""


@runtime_checkable
class ExplainedStrategy(Protocol):
    """A strategy that can also show what its scores are computed from. This is optional."""

    def inputs(self, desk: "StrategyDesk", symbol: str) -> Sequence[ComponentInputs]:
        """Return the inputs of each component of a symbol's score, as `propose` used them for this desk."""


class StrategyDesk(Protocol):
    """The view of the desk that a strategy may see."""

    @property
    def now(self) -> datetime:
        """Return trading time."""

    @property
    def universe(self) -> Sequence[str]:
        """Return the symbols to look at."""

    @property
    def facts(self) -> Mapping[str, SymbolFacts]:
        """Return the facts of each symbol."""

    @property
    def tide(self) -> TideFacts:
        """Return the market tide."""
