"""Search what would let refused candidates of a recorded pass through: the pass is decided again with each change."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from msgspec import Struct

from tradebot.adapters.text.yaml_edit import changed
from tradebot.app.baseline import differences
from tradebot.app.replays import accepted_of, rules_of_record, settings_of
from tradebot.app.rules import rules_of
from tradebot.app.searched import reads, related, with_values
from tradebot.app.sections import Sections
from tradebot.app.settings import checked
from tradebot.errors import ConfigurationError
from tradebot.gates.reads import NOTHING, READS
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Gate
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.values import replace
from tradebot.ports.strategy import RefilteringStrategy
from tradebot.ports.world import Rules
from tradebot.replaying.advice import Advice, Asking, Changes, Question, Said, advice
from tradebot.replaying.nearest import Path, Value
from tradebot.replaying.passes import Recorded
from tradebot.replaying.supposed import decided, given_other
from tradebot.replaying.writing import RecordError
from tradebot.strategies.settings import BUILT_IN
from tradebot.views.advised import Advised, advised, text_of

NOT_SENT = frozenset({Reason.SHADOW, Reason.DRY_RUN})
"""Why a pass that sends nothing ends a candidate which no gate refuses."""
LEFT_ALONE = frozenset(gate for gate, one in READS.items() if one == NOTHING) - {Gate.STRATEGY, Gate.DISPLACEMENT}
"""The gates that no setting opens, whatever else is decided in the pass."""
Whose = tuple[str, str]
"""The strategy and the symbol of a candidate."""


class Advising:
    """Searches advice about the candidates of one recorded pass; what was decided with some change is kept."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self.settings = settings_of(recorded.surroundings)
        self._rules = rules_of_record(recorded.surroundings)
        self._values: dict[str, Any] = self.settings.model_dump(mode="json", exclude_unset=True)
        self._decided: dict[tuple[Whose | None, frozenset[tuple[Path, Value]]], CycleRecord | None] = {}
        self._loads: dict[frozenset[tuple[Path, Value]], bool] = {}
        self._filters: dict[str, Mapping[str, Sequence[str]]] = {}

    @property
    def work(self) -> int:
        """Return how many candidates were decided on until now, each time that it was done."""
        return sum(len(cycle.candidates) for cycle in self._decided.values() if cycle)

    @cached_property
    def entries(self) -> Mapping[Whose, CandidateRecord]:
        """Return the entries that the pass looked at."""
        cycle = self.decided({})
        return _entries(cycle) if cycle else {}

    def of(self, whose: Whose) -> Advice:
        """Return the smallest change that lets a candidate through; it is empty if there is none."""
        found = self._searched(whose, whose)
        whole = self._said(whose, found.values, None)
        if whole is None or (found.changes and not whole.through):
            found = self._searched(whose, None)
        return found

    def told(self, whose: Whose) -> Advised:
        """Return advice about a refused candidate, with what else the change does in the pass."""
        found, failed = self.of(whose), said_of(self.entries[whose]).failed
        before, after = self.decided({}), self.decided(found.values)
        if not found.changes or before is None or after is None:
            return advised(whose, found, failed, looser=False)
        besides = let_through(before, after, whose)
        also, instead = ([_named(one, whose) for one in some] for some in (besides.also, besides.instead))
        sends = self._recorded.given.sends and not self._rules.of(whose[0]).approval
        looser = self.loosens(found.values)
        return advised(whose, found, failed, looser=looser, sends=sends, also=also, instead=instead)

    def loosens(self, changes: Changes) -> bool:
        """Return True if somebody has to accept a change: it allows more than what was accepted of the settings."""
        accepted = accepted_of(self._recorded.surroundings)
        settings = with_values(self.settings, changes)
        return accepted is None or any(one.looser for one in differences(settings, accepted, {}))

    def _searched(self, whose: Whose, only: Whose | None) -> Advice:
        strategy = whose[0]
        return advice(
            Asking(
                lambda changes: self._said(whose, changes, only),
                self.loads,
                lambda question: reads(self.settings, strategy, question, self.filter_settings(strategy)),
                lambda setting: related(self.settings, setting),
            )
        )

    def decided(self, changes: Changes, only: Whose | None = None) -> CycleRecord | None:
        """Return the pass as it is decided with changed settings, whether they load or not; None if nobody knows.

        With `only`, those candidates are left out that can't matter to this one.
        """
        key = only, frozenset(changes.items())
        if key not in self._decided:
            self._decided[key] = self._decide(changes, only)
        return self._decided[key]

    def loads(self, changes: Changes) -> bool:
        """Return True if the settings load with these changes, and fit together."""
        key = frozenset(changes.items())
        if key not in self._loads:
            try:
                checked(self._with(changes), {})
            except ConfigurationError:
                self._loads[key] = False
            else:
                self._loads[key] = True
        return self._loads[key]

    def _said(self, whose: Whose, changes: Changes, only: Whose | None) -> Said | None:
        cycle = self.decided(changes, only)
        record = _entries(cycle).get(whose) if cycle else None
        return said_of(record) if record else None

    def _decide(self, changes: Changes, only: Whose | None) -> CycleRecord | None:
        try:
            settings = with_values(self.settings, changes)
            return decided(self._answered(settings, changes, only), self._rules_of(settings)).cycle
        except RecordError:
            return None

    def _rules_of(self, settings: Sections) -> Rules:
        """Return the rules of changed settings; the exits are those of the record, because advice changes none."""
        around, then = self._recorded.surroundings, self._rules
        rules = rules_of(settings, then.exits, discovered=around.discovered)
        return replace(rules, own_exits=then.own_exits)

    def _with(self, changes: Changes) -> dict[str, Any]:
        values = self._values
        for path, value in changes.items():
            values = changed(values, path, value if isinstance(value, bool | None) else text_of(value))
        return values

    def _answered(self, settings: Sections, changes: Changes, only: Whose | None) -> Recorded:
        """Return the record with the answers of those strategies' filters that read changed settings."""
        proposed, recorded = self._recorded.given.proposed, self._recorded
        if proposed is None:
            return recorded
        if only and not self._compares:
            proposed = replace(proposed, candidates=tuple(self._that_matter(proposed.candidates, only)))
        for name in {path[1] for path in changes if path[0] == "strategies" and len(path) == 3}:
            filters = _refiltering(settings, name)
            if filters is not None:
                kept = [filters.filtered(one) if one.strategy == name else one for one in proposed.candidates]
                proposed = replace(proposed, candidates=tuple(kept))
        return given_other(recorded, proposed=proposed)

    @cached_property
    def _compares(self) -> bool:
        """Return True if a strategy's candidates are compared with each other."""
        return any(one.displacement or one.auction for one in (*self._rules.own.values(), self._rules.of("")))

    def _that_matter(self, candidates: Sequence[Candidate], only: Whose) -> Iterator[Candidate]:
        """Yield a candidate, and those before it that change the account, or could do so with other settings."""
        for one in candidates:
            whose = one.strategy, one.symbol
            if one.purpose is not Purpose.OPEN or whose == only or whose not in self._never:
                yield one
            if whose == only:
                return

    @cached_property
    def _never(self) -> frozenset[Whose]:
        """Return the entries that are refused for what no setting changes."""
        return frozenset(
            whose
            for whose, record in self.entries.items()
            if any(one.gate in LEFT_ALONE for one in said_of(record).failed)
        )

    def filter_settings(self, name: str) -> Mapping[str, Sequence[str]]:
        """Return the settings that each filter of a strategy reads, by the filter's name."""
        if name not in self._filters:
            filters = _refiltering(self.settings, name)
            self._filters[name] = filters.filter_settings if filters else {}
        return self._filters[name]


def _named(one: Whose, asked: Whose) -> str:
    """Return a symbol, with its strategy if that is another one."""
    return one[1] if one[0] == asked[0] else f"{one[1]} of {one[0]}"


def _refiltering(settings: Sections, name: str) -> RefilteringStrategy | None:
    """Return a strategy whose filters can answer again; None for one that can't, and for one from outside."""
    own, where = settings.strategies.in_use().get(name), settings.strategies.installed_as().get(name)
    if own is None or where not in BUILT_IN:
        return None
    made = _factory(where)(own)
    return made if isinstance(made, RefilteringStrategy) else None


@cache
def _factory(name: str) -> Callable[[Mapping[str, object]], object]:
    from tradebot.adapters.plugins.plugin import installed

    found: Callable[[Mapping[str, object]], object] = installed()[name].load()
    return found


def _entries(cycle: CycleRecord) -> dict[Whose, CandidateRecord]:
    """Return the entries of a pass; the last record of one counts."""
    return {
        (one.candidate.strategy, one.candidate.symbol): one
        for one in cycle.candidates
        if one.candidate.purpose is Purpose.OPEN
    }


def said_of(record: CandidateRecord) -> Said:
    """Return what refuses a candidate: neither that nothing is sent at all, nor that a person is asked first."""
    failed: dict[Question, Decision] = {}
    for one in record.decisions:
        if not one.passed and one.gate is not Gate.APPROVAL and one.reason not in NOT_SENT:
            failed.setdefault(Question(one.gate, one.about), one)
    return Said(failed, not failed)


class LetThrough(Struct, frozen=True):
    """What a change does to the rest of a pass: the orders that go out too, and those that go out no more."""

    also: tuple[Whose, ...]
    instead: tuple[Whose, ...]


def let_through(before: CycleRecord, after: CycleRecord, asked: Whose) -> LetThrough:
    """Compare which entries pass every gate, apart from the one that was asked about."""
    was, now = ([whose for whose, one in _entries(cycle).items() if said_of(one).through] for cycle in (before, after))
    also = (one for one in now if one not in was and one != asked)
    return LetThrough(tuple(also), tuple(one for one in was if one not in now))
