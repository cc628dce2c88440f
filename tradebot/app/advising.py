"""Search what would let refused candidates of a recorded pass through: the pass is decided again with each change."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import inf
from typing import Any

from msgspec import Struct

from tradebot.adapters.text.yaml_edit import changed
from tradebot.app.baseline import differences
from tradebot.app.replays import accepted_of, rules_of_record, settings_of
from tradebot.app.rules import rules_of
from tradebot.app.searched import reads, related, value_at, with_value, with_values
from tradebot.app.sections import Sections
from tradebot.app.settings import checked
from tradebot.app.shaping import Reproposing, strategy_with
from tradebot.errors import ConfigurationError
from tradebot.gates.reads import NOTHING, READS
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.values import replace
from tradebot.ports.strategy import RefilteringStrategy
from tradebot.ports.world import Rules
from tradebot.replaying.advice import advice
from tradebot.replaying.answering import Stored
from tradebot.replaying.asking import Advice, Asking, Changes, Proposing, Question, Said
from tradebot.replaying.nearest import Path, Setting, Value
from tradebot.replaying.passes import Recorded
from tradebot.replaying.strength import Strength, but_strength, strength_known
from tradebot.replaying.supposed import decided, given_other
from tradebot.replaying.writing import RecordError
from tradebot.strategies.settings import CORE_KEYS
from tradebot.views.advised import Advised, advised, text_of

NOT_SENT = frozenset({Reason.SHADOW, Reason.DRY_RUN})
"""Why a pass that sends nothing ends a candidate which no gate refuses."""
LEFT_ALONE = frozenset(gate for gate, one in READS.items() if one == NOTHING) - {Gate.STRATEGY, Gate.DISPLACEMENT}
"""The gates that no setting opens, whatever else is decided in the pass."""
ASKED = 40
"""How often a strategy is asked again that looks at all of its universe for each answer."""
Whose = tuple[str, str]
"""The strategy and the symbol of a candidate."""


class Advising:
    """Searches advice about the candidates of one recorded pass; what was decided with some change is kept."""

    def __init__(self, recorded: Recorded, stored: Stored | None) -> None:
        """Take what is stored from the time of the pass; without it, nobody knows what strategies would propose."""
        self._recorded = recorded
        self.settings = settings_of(recorded.surroundings)
        self._rules = rules_of_record(recorded.surroundings)
        self._values: dict[str, Any] = self.settings.model_dump(mode="json", exclude_unset=True)
        self._decided: dict[tuple[Whose | None, frozenset[tuple[Path, Value]]], CycleRecord | None] = {}
        self._loads: dict[frozenset[tuple[Path, Value]], bool] = {}
        self._filters: dict[str, Mapping[str, Sequence[str]]] = {}
        self._again = Reproposing(recorded, self.settings, self._rules, stored)
        self._shaping: dict[str, frozenset[Path]] = {}
        self._reads: dict[tuple[str, Question], Sequence[Setting]] = {}
        self._proposed: dict[tuple[Whose, frozenset[tuple[Path, Value]]], Candidate | None] = {}
        self._alone: dict[tuple[Candidate, frozenset[tuple[Path, Value]]], list[Strength]] = {}

    @property
    def work(self) -> int:
        """Return how many candidates were proposed or decided on until now, each time that it was done."""
        decided_on = sum(len(cycle.candidates) for cycle in self._decided.values() if cycle)
        return decided_on + sum(map(len, self._alone.values())) + len(self._proposed)

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

    def told(self, whose: Whose, settings_now: Sections) -> Advised:
        """Return advice about a refused candidate, with what else the change does in the pass.

        It says so if it is in force already, in the settings of now.
        """
        found, failed = self.of(whose), said_of(self.entries[whose]).failed
        before, after = self.decided({}), self.decided(found.values)
        if not found.changes or before is None or after is None:
            return advised(whose, found, failed, looser=False)
        besides = let_through(before, after, whose)
        also, instead = ([_named(one, whose) for one in some] for some in (besides.also, besides.instead))
        sends = self._recorded.given.sends and not self._rules.of(whose[0]).approval
        looser = self.loosens(found.values)
        now = {path: value_at(settings_now, path) for path in found.values}
        return advised(whose, found, failed, looser=looser, now=now, sends=sends, also=also, instead=instead)

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
                lambda question: self._read_by(strategy, question),
                lambda setting: related(self.settings, setting),
                self._proposing(whose),
            )
        )

    def _read_by(self, strategy: str, question: Question) -> Sequence[Setting]:
        key = strategy, question
        if key not in self._reads:
            self._reads[key] = reads(self.settings, strategy, question, self.filter_settings(strategy))
        return self._reads[key]

    def _proposing(self, whose: Whose) -> Proposing:
        settings = self._again.settings_of(whose[0])
        return Proposing(
            settings or (),
            settings is not None,
            inf if self._again.is_separate(whose[0]) else ASKED,
            lambda changes: self._proposes(whose, changes),
            lambda changes: self._decided_alone(self._proposes(whose, changes), changes),
            lambda: self._decided_alone(_opposite(self.entries[whose].candidate), {}),
        )

    def _shapes(self, name: str, path: Path) -> bool:
        """Return True for a setting that a strategy has to be asked again for."""
        if name not in self._shaping:
            self._shaping[name] = frozenset(one.path for one in self._again.settings_of(name) or ())
        return path in self._shaping[name]

    def _proposes(self, whose: Whose, changes: Changes) -> Candidate | None:
        """Return what a strategy proposes about a symbol with changed settings."""
        name, symbol = whose
        own = {
            path: value
            for path, value in changes.items()
            if path[:2] == ("strategies", name) and path[2] not in CORE_KEYS
        }
        key = whose, frozenset(own.items())
        if key not in self._proposed:
            if any(self._shapes(name, path) for path in own):
                self._proposed[key] = self._again.about(name, symbol, own)
            else:
                self._proposed[key] = self._refiltered(whose, own)
        return self._proposed[key]

    def _refiltered(self, whose: Whose, own: Changes) -> Candidate | None:
        given = self._answered(with_values(self.settings, own), own, None).given
        assert given.proposed is not None, "a pass of entries has proposals"
        return next((one for one in given.proposed.candidates if (one.strategy, one.symbol) == whose), None)

    def _decided_alone(self, candidate: Candidate | None, changes: Changes) -> Said | None:
        """Return what is decided about a candidate if nothing else is to be entered in the pass."""
        if candidate is None or (proposed := self._recorded.given.proposed) is None:
            return None
        others = {path: value for path, value in changes.items() if not self._shapes(candidate.strategy, path)}
        kept = self._alone.setdefault((but_strength(candidate), frozenset(others.items())), [])
        found = None if self._compares else strength_known(kept, candidate)
        if found is None:
            left = tuple(one for one in proposed.candidates if one.purpose is not Purpose.OPEN)
            given = given_other(self._recorded, proposed=replace(proposed, candidates=(*left, candidate)))
            try:
                cycle = decided(given, self._rules_of(with_values(self.settings, others), others)).cycle
            except RecordError:
                return None
            record = _entries(cycle).get((candidate.strategy, candidate.symbol))
            if record is None:
                return None
            found = said_of(record)
            kept.append(Strength(abs(candidate.score or 0.0), candidate.coverage or 0.0, found))
        return found

    def decided(self, changes: Changes, only: Whose | None = None) -> CycleRecord | None:
        """Return the pass as it is decided with changed settings, whether they load or not; None if nobody knows.

        With `only`, those candidates are left out that can't matter to this one.
        """
        shaped = any(self._shapes(path[1], path) for path in changes if path[0] == "strategies")
        key = None if shaped else only, frozenset(changes.items())
        if key not in self._decided:
            self._decided[key] = self._decide(changes, key[0])
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
            rules = self._rules_of(settings, changes)
            name = next((path[1] for path in changes if self._shapes(path[1], path)), None)
            given = self._again.all(settings, rules, name) if name else self._answered(settings, changes, only)
            return decided(given, rules).cycle if given else None
        except RecordError:
            return None

    def _rules_of(self, settings: Sections, changes: Changes) -> Rules:
        """Return the rules of changed settings; the exits are those that were accepted, but for what is changed."""
        around, then = self._recorded.surroundings, self._rules
        exits = then.exits
        for path, value in changes.items():
            exits = with_value(exits, path[1:], value) if path[0] == "exits" else exits
        rules = rules_of(settings, exits, discovered=around.discovered)
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
    made = strategy_with(settings, name)
    return made if isinstance(made, RefilteringStrategy) else None


def _opposite(candidate: Candidate) -> Candidate:
    """Return a candidate for the other side."""
    score = None if candidate.score is None else -candidate.score
    return replace(candidate, side=Side.of(-candidate.side.sign), score=score)


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
