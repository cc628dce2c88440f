"""Compute strategies' results in a recorded pass with other settings.

Filters that compare recorded numbers are evaluated again with other limits. For any other change, a strategy is run
again on the stored facts and bars of that time. The strategy is first run with the record's settings. Its new result
counts only if that run gives the recorded result, because that shows that its inputs are still stored.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any, NamedTuple

from msgspec import Struct, field

from tradebot.desk.proposals import Proposals, StrategyAnswer, build_answer, inputs_for_strategy, strongest_first
from tradebot.desk.strategy_views import StrategyInputs, ViewBuilder
from tradebot.model.bar import Session, StrategySlot
from tradebot.model.desk import Desk
from tradebot.model.instrument import ListingRecord
from tradebot.model.position import EntryTerms, Key
from tradebot.model.record import StrategyRefusal
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.view import BarNeed
from tradebot.ports.stores import Bars, Facts, Ledger
from tradebot.ports.strategy import RefilteringStrategy, Strategy
from tradebot.ports.world import Rules
from tradebot.replaying.hypothetical_ports import supposed_tape, with_inputs
from tradebot.replaying.passes import RecordedCycle

LONG_AGO = datetime.min.replace(tzinfo=UTC)
"""The time of values whose actual time doesn't matter."""


class ReplayedStrategy(Struct, frozen=True):
    """A strategy before and after the change; None where it isn't in use.

    `settings` are the names of its changed settings. `sees` is True if another input changes, such as its universe.
    """

    name: str
    before: Strategy | None
    after: Strategy | None
    settings: frozenset[str] = frozenset()
    sees: bool = False

    @property
    def refilters(self) -> RefilteringStrategy | None:
        """Return the strategy with its changed settings if only its filters read them, otherwise None."""
        after = self.after
        if self.before is None or after is None or self.sees or not isinstance(after, RefilteringStrategy):
            return None
        setting_names = {name for names in after.filter_settings.values() for name in names}
        return after if self.settings <= setting_names else None


class Unanswered(Struct, frozen=True):
    """A setting that a what-if can't change, or only in part, and why."""

    setting: str
    why: str


class WhatIfInputs(Struct, frozen=True):
    """The rules of a record, the rules of the what-if, and the strategies whose results would differ between them."""

    before: Rules
    after: Rules
    strategies: tuple[ReplayedStrategy, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()

    @property
    def replaced_strategies(self) -> frozenset[str]:
        """Return the strategies whose candidates are replaced by other results."""
        return frozenset(strategy.name for strategy in self.strategies if not strategy.refilters)


class PastStores(Struct, frozen=True, dict=True):
    """The stores that still have data from the time of a pass. Nothing is written or fetched.

    The calendar and listings are read once for all passes. `verified` has, by strategy, the inputs and the recorded
    answer of the last pass for which it gave the same answer again.
    """

    facts: Facts
    bars: Bars | None
    ledger: Ledger
    verified: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sessions(self) -> Callable[..., Sequence[Session]]:
        return cache(self.ledger.sessions)

    @cached_property
    def listings(self) -> Callable[[tuple[str, ...]], Mapping[str, ListingRecord]]:
        return cache(self.ledger.listings)


class StrategyAnswers:
    """Strategies' results for one recorded pass; their inputs are read once."""

    def __init__(self, recorded: RecordedCycle, rules: Rules, stored: PastStores | None) -> None:
        self._recorded = recorded
        self._rules = rules
        self._stored = stored
        self._facts: Any = _ReadOnce(stored.facts) if stored else None
        self._as_then: dict[str, bool] = {}
        self._looks: list[tuple[object, _Look]] = []

    def to(self, changes: Sequence[ReplayedStrategy], rules: Rules) -> tuple[RecordedCycle, frozenset[str]]:
        """Return the record with these strategies' results replaced, and the strategies whose results can't be known.

        Results that can't be known stay as recorded. `rules` are the changed ones.
        """
        proposed = self._recorded.given.proposed
        if proposed is None or not changes:
            return self._recorded, frozenset()
        unknown = frozenset(change.name for change in changes if not self._is_known(change))
        if any(change.name in unknown or self._waits(change) for change in changes):
            proposed = self._all_proposed
        for strategy in changes:
            if strategy.name not in unknown and not self._waits(strategy):
                proposed = self._again(proposed, strategy, rules)
        return with_inputs(self._recorded, proposed=proposed), unknown

    def _waits(self, strategy: ReplayedStrategy) -> bool:
        """Return True if a strategy wasn't due and therefore didn't run."""
        return strategy.after is not None and strategy.name in {
            each.strategy for each in self._recorded_proposals.own.waiting
        }

    def _is_known(self, strategy: ReplayedStrategy) -> bool:
        """Return True if a strategy's result with the change can be computed."""
        if strategy.after is None or self._waits(strategy) or strategy.refilters:
            return True
        return self._stored is not None and self.is_as_then(strategy)

    def _again(self, proposed: Proposals, strategy: ReplayedStrategy, rules: Rules) -> Proposals:
        if strategy.after is None:
            return _with(proposed, strategy.name, StrategyAnswer())
        if filters := strategy.refilters:
            filtered = [
                filters.filtered(each) if each.strategy == strategy.name else each for each in proposed.candidates
            ]
            return replace(proposed, candidates=strongest_first(filtered))
        return _with(proposed, strategy.name, self._ask_again(strategy.after, strategy.name, rules))

    def is_as_then(self, replayed: ReplayedStrategy) -> bool:
        """Return True if a strategy still gives the recorded result with the settings it had at the time."""
        if replayed.before is None:
            return True
        if replayed.name not in self._as_then:
            self._as_then[replayed.name] = self._answers_as_then(replayed.before, replayed.name)
        return self._as_then[replayed.name]

    def _answers_as_then(self, strategy: Strategy, name: str) -> bool:
        """Return True if a strategy, with its settings at the time, reproduces the recorded result.

        It isn't run if its inputs, except for the time, equal those of the last pass in which it did, and if the pass
        recorded that no other reply about facts had arrived since. A strategy that reads bars always runs, because a
        missing bar would show in nothing else.
        """
        proposed, stored = self._recorded_proposals, self._stored
        assert stored is not None, "running a strategy again needs the stored data"
        refused = [refusal for refusal in proposed.refused if refusal.strategy == name]
        inputs = self._look(strategy, name, self._rules).seen
        alike = (
            strategy,
            inputs._replace(view=replace(inputs.view, now=LONG_AGO)),
            self._recorded.given.desk.facts,
            refused,
        )
        if not (strategy.needs.bars or strategy.needs.features) and stored.verified.get(name) == alike:
            return True
        answer = self._ask_again(strategy, name, self._rules)
        then = [candidate for candidate in self._all_proposed.candidates if candidate.strategy == name]
        same = [*strongest_first(answer.candidates)] == then and [*_refusals(name, answer)] == refused
        if same:
            stored.verified[name] = alike
        return same

    def _ask_again(self, strategy: Strategy, name: str, rules: Rules) -> StrategyAnswer:
        look = self._look(strategy, name, rules)
        return build_answer(rules, look.now, look.sights, look.seen, strategy, look.slot)

    def _look(self, strategy: Strategy, name: str, rules: Rules) -> "_Look":
        """Build a strategy's view at the time; parts that views share are read once."""
        own = rules.of(name)
        key = name, strategy.needs, own.universe, own.costs, own.allotment_fraction, rules.sectors
        strategy_inputs = next((look for is_known, look in self._looks if is_known == key), None)
        if strategy_inputs is None:
            strategy_inputs = self._build_look(strategy, name, rules)
            self._looks.append((key, strategy_inputs))
        return strategy_inputs

    @property
    def _recorded_proposals(self) -> Proposals:
        """Return the recorded proposals; of a strategy that runs again, maybe only the first candidate was read."""
        proposed = self._recorded.given.proposed
        assert proposed is not None, "an entry pass has proposals"
        return proposed

    @property
    def _all_proposed(self) -> Proposals:
        proposed = self._recorded.all_proposals
        assert proposed is not None, "an entry pass has proposals"
        return proposed

    def _build_look(self, strategy: Strategy, name: str, rules: Rules) -> "_Look":
        inputs, proposed, stored = self._recorded.given, self._recorded_proposals, self._stored
        assert stored is not None, "running a strategy again needs the stored data"
        now = min((candidate.at for candidate in proposed.candidates), default=inputs.desk.now)
        books: Any = _Then(stored, inputs.desk)
        world = replace(
            supposed_tape(self._recorded).world(rules, inputs.permission, sends=False, shadow=inputs.shadow),
            ledger=books,
            facts=self._facts,
            bars=stored.bars or _NoBars(),
            strategies=(strategy,),
        )
        slot = next((each for each in proposed.own.asked if each.strategy == name), None)
        sights = ViewBuilder(world, now, [strategy])
        return _Look(now, sights, inputs_for_strategy(sights, strategy, slot), slot)


class _Look(NamedTuple):
    """A strategy's view at a time, in its own slot if it has one."""

    now: datetime
    sights: ViewBuilder
    seen: StrategyInputs
    slot: StrategySlot | None


class _ReadOnce:
    """The facts that strategies read in one pass, with a cache of queries."""

    def __init__(self, facts: Facts) -> None:
        self.load, self.market = cache(facts.load), cache(facts.market)


class _NoBars:
    """Stands for bars where none are stored."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return no bars for any symbol."""
        return {}


class _Then:
    """The ledger as a pass found it, as far as strategies see it."""

    def __init__(self, stored: PastStores, desk: Desk) -> None:
        self._desk = desk
        self.sessions = stored.sessions
        self._listings = stored.listings

    def listings(self, symbols: Iterable[str]) -> Mapping[str, ListingRecord]:
        """Return the recorded listings of these symbols."""
        return self._listings(tuple(symbols))

    def totals(self) -> Totals:
        """Return the recorded totals of fills."""
        return self._desk.books.totals

    def entry_terms(self, keys: Collection[Key]) -> Mapping[Key, EntryTerms]:
        """Return the recorded terms of these positions."""
        return {key: entry_terms for key, entry_terms in self._desk.books.kept.items() if key in keys}


def _with(proposed: Proposals, name: str, answer: StrategyAnswer) -> Proposals:
    """Return proposals with one strategy's answer replaced."""
    candidates = [*(each for each in proposed.candidates if each.strategy != name), *answer.candidates]
    refused = (*(each for each in proposed.refused if each.strategy != name), *_refusals(name, answer))
    return replace(proposed, candidates=strongest_first(candidates), refused=refused)


def _refusals(name: str, answer: StrategyAnswer) -> Iterator[StrategyRefusal]:
    if answer.failed:
        yield StrategyRefusal(name, answer.failed)
    yield from answer.refused
