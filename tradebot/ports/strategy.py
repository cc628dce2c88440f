"""Port to a strategy."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

from tradebot.model.candidate import Candidate, ComponentInputs, OptionContract
from tradebot.model.decision import Decision
from tradebot.model.view import Needs, StrategyView, Want


class Strategy(Protocol):
    """Says what it needs, and answers what it sees with what it wants.

    It is made from its settings: `Factory(settings)`. It must be pure: the same view always gets the same answer, and
    it may run in a separate process that ends after any answer.
    """

    @property
    def name(self) -> str:
        """Return the name that its orders and lots carry."""

    @property
    def needs(self) -> Needs:
        """Return what it needs to know."""

    @property
    def times(self) -> str:
        """Return when it wants to be asked, as a timetable expression; empty for every pass of entries.

        The configuration may say otherwise: `strategies.NAME.times`.
        """

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return what it wants, at most one want per symbol; or a single decision that says why it can't tell.

        Then what it holds stays as it is, and it is asked again in the next pass, or while its slot is due.
        """


class OutsideSource(Protocol):
    """A strategy that passes on what others propose, and names them as the sources of its candidates."""

    @property
    def sources(self) -> frozenset[str]:
        """Return the sources that its candidates may name."""


def is_outside(strategy: Strategy) -> TypeGuard[OutsideSource]:
    """Return True if a strategy passes on what others propose; each pass asks, so this has to be quick."""
    return hasattr(strategy, "sources")


class Passing(NamedTuple):
    """Which symbols pass a strategy's own filters with a setting changed; with none changed, `setting` is empty."""

    setting: str
    passing: Sequence[str]


@runtime_checkable
class VariedStrategy(Protocol):
    """A strategy that can also say what it would want with its settings changed. This is optional."""

    def variants(self, view: StrategyView) -> Sequence[Passing]:
        """Return what passes its own filters with the present settings, and then with each of its variants."""


@runtime_checkable
class RefilteringStrategy(Protocol):
    """A strategy whose own filters can answer again from what is recorded of a candidate. This is optional."""

    @property
    def filter_settings(self) -> Mapping[str, Sequence[str]]:
        """Return the settings that each of its filters compares with, by the filter's name.

        What is recorded of a candidate is enough to tell what it would be with other values of these.
        """

    def filtered(self, candidate: Candidate) -> Candidate:
        """Return a recorded candidate as it would be proposed with these settings, however they were then.

        The options behind it are left out: only those of a candidate that passed are recorded.
        """


@runtime_checkable
class ExplainedStrategy(Protocol):
    """A strategy that can also show what its scores are computed from. This is optional."""

    def inputs(self, view: StrategyView, symbol: str) -> Sequence[ComponentInputs]:
        """Return the inputs of each component of a symbol's score, as `propose` used them for this view."""

    def contracts(self, view: StrategyView, symbol: str, direction: int) -> Sequence[OptionContract]:
        """Return the option contracts that speak for a direction (+1 or -1), the most premium first."""
