"""The port to a strategy, and optional protocols for strategies that can do more."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeGuard, runtime_checkable

from tradebot.model.candidate import Candidate, ComponentInputs, OptionContract
from tradebot.model.decision import Decision
from tradebot.model.view import Needs, SlotWants, StrategyView, Want


class Strategy(Protocol):
    """A strategy: it declares its needs, and turns a view into wants.

    It is created from its settings: `Factory(settings)`. It must be pure: the same view always gives the same wants,
    and it may run in a separate process that ends after any call.
    """

    @property
    def name(self) -> str:
        """Return the strategy's name, as on its orders and lots."""

    @property
    def needs(self) -> Needs:
        """Return the data that the strategy needs."""

    @property
    def times(self) -> str:
        """Return when the strategy wants to run, as a timetable expression; empty for every entry pass.

        The configuration may override it: `strategies.NAME.times`.
        """

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return the strategy's wants, at most one per symbol; or a single decision that says why it can't decide.

        After such a decision its positions stay as they are, and it runs again in the next pass, or while its slot is
        due.
        """


@runtime_checkable
class SessionStrategy(Protocol):
    """A strategy that can also answer for all of its slots in a session at once. This is optional.

    Only backtests use it, for a plug-in that has its own times and needs nothing but bars and lots.
    """

    def propose_many(self, views: Sequence[StrategyView]) -> Sequence[SlotWants]:
        """Return what `propose` would want for each view, whatever the strategy holds at that time.

        The views have no lots. The answer for a view may depend on that view alone. To check this, answers that lead to
        orders are compared with what `propose` returns in a process that has seen no later view.
        """


class OutsideSource(Protocol):
    """A strategy that passes on others' proposals, and names them as the sources of its candidates."""

    @property
    def sources(self) -> frozenset[str]:
        """Return the sources that its candidates may name."""


def is_outside(strategy: Strategy) -> TypeGuard[OutsideSource]:
    """Return True if a strategy passes on others' proposals; every pass calls this, so it must be fast."""
    return hasattr(strategy, "sources")


class FilterMatches(NamedTuple):
    """Which symbols pass a strategy's own filters with a changed setting; `setting` is empty without a change."""

    setting: str
    passing: Sequence[str]


@runtime_checkable
class VariedStrategy(Protocol):
    """A strategy that can also propose with changed settings. This is optional."""

    def variants(self, view: StrategyView) -> Sequence[FilterMatches]:
        """Return the symbols that pass the strategy's filters with the present settings, then with each variant."""


@runtime_checkable
class RefilteringStrategy(Protocol):
    """A strategy whose filters can be evaluated again from a recorded candidate. This is optional."""

    @property
    def filter_settings(self) -> Mapping[str, Sequence[str]]:
        """Return the settings that each of its filters reads, by the filter's name.

        A recorded candidate is enough to evaluate a filter with other values of its settings.
        """

    def filtered(self, candidate: Candidate) -> Candidate:
        """Return a recorded candidate as these settings would have proposed it, whatever the settings were at that
        time.

        The options behind it are left out, because they are recorded only for a candidate that passed.
        """


@runtime_checkable
class ExplainedStrategy(Protocol):
    """A strategy that can also show the inputs of its scores. This is optional."""

    def inputs(self, view: StrategyView, symbol: str) -> Sequence[ComponentInputs]:
        """Return the inputs of each component of a symbol's score, as `propose` used them for this view."""

    def contracts(self, view: StrategyView, symbol: str, direction: int) -> Sequence[OptionContract]:
        """Return the option contracts that support a direction (+1 or -1), most premium first."""
