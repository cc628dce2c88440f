"""What we ask of a strategy, and what it may see."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision
from tradebot.model.inputs import ComponentInputs
from tradebot.model.record import SymbolFacts, TideFacts


class Strategy(Protocol):
    """Features in, candidates out; pure: it may be asked in a process of its own, which lives for one answer."""

    @property
    def name(self) -> str:
        """Return the name that its orders and lots carry."""

    def propose(self, desk: "StrategyDesk") -> Sequence[Candidate] | Decision:
        """Return a candidate for each symbol looked at, refused ones included; a Decision refuses the whole answer."""


@runtime_checkable
class OutsideSource(Protocol):
    """A strategy that hands on what others propose, and names them as its candidates' sources."""

    @property
    def sources(self) -> frozenset[str]:
        """Return the sources that its candidates may name."""


@runtime_checkable
class ExplainedStrategy(Protocol):
    """A strategy that also tells what its scores are computed from; not every one does."""

    def inputs(self, desk: "StrategyDesk", symbol: str) -> Sequence[ComponentInputs]:
        """Return the inputs of each component of a symbol's score, as `propose` used them on this desk."""


class StrategyDesk(Protocol):
    """What a strategy may see."""

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
