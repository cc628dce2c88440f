"""Search the smallest change of settings that lets a refused candidate through, by asking again what decided.

Only settings are tried that a gate which refuses says it reads. One setting is changed if that is enough, or else two;
of several answers, the one is given whose numbers change least. Nothing is looked up, so nothing can be out of date.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations, combinations_with_replacement
from math import inf
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.decision import Decision, Gate
from tradebot.replaying.nearest import Change, Guess, Path, Setting, Value, nearest

Changes = Mapping[Path, Value]
"""New values of settings by their paths."""


class Question(NamedTuple):
    """What was asked about a candidate: a gate, or one of the filters that its strategy asks by name."""

    gate: Gate
    about: str = ""


class Said(Struct, frozen=True):
    """What was decided about a candidate: the questions that refuse it, in their order, and whether it goes through."""

    failed: Mapping[Question, Decision]
    through: bool


class Asking(Struct, frozen=True):
    """How to find out: what is decided with changes, whether they load, and which settings matter to what.

    `ask` returns None if nobody can know what would be decided. `related` are the settings that have to fit to one.
    """

    ask: Callable[[Changes], Said | None]
    loads: Callable[[Changes], bool]
    reads: Callable[[Question], Sequence[Setting]]
    related: Callable[[Setting], Sequence[Setting]]


class Advice(Struct, frozen=True):
    """The smallest change of one setting or two; without any, `closed` is a question that no setting opens, if any."""

    changes: tuple[Change, ...] = ()
    closed: Question | None = None

    @property
    def values(self) -> Changes:
        return {change.setting.path: change.value for change in self.changes}

    @property
    def size(self) -> float:
        return sum(change.size for change in self.changes)


def advice(asking: Asking) -> Advice:
    """Return the smallest change that lets the candidate through and loads; it is empty if there is none."""
    said = asking.ask({})
    if said is None or not said.failed:
        return Advice()
    search = _Search(asking, said, {question: asking.reads(question) for question in _causes(said.failed)})
    if not search.may_help():
        return Advice(closed=search.unread())
    if closed := search.closed():
        return Advice(closed=closed)
    return search.one() or search.two() or search.two_at_once() or Advice()


def _causes(failed: Collection[Question]) -> tuple[Question, ...]:
    """Return what refuses by itself: a full book is asked to make room, and that is no reason of its own."""
    full = {Gate.OPEN_POSITIONS, Gate.OWN_OPEN_POSITIONS} & {question.gate for question in failed}
    return tuple(question for question in failed if not (full and question.gate is Gate.DISPLACEMENT))


class _Search:
    """The search for one candidate; `reads` has the questions that refuse it, each with the settings that it reads."""

    def __init__(self, asking: Asking, said: Said, reads: Mapping[Question, Sequence[Setting]]) -> None:
        self._asking, self._said, self._reads, self._failed = asking, said, reads, tuple(reads)
        self._firsts: dict[tuple[Path, tuple[Question, ...]], Change | None] = {}
        self._settings = {setting.path: setting for some in reads.values() for setting in some}

    def unread(self) -> Question | None:
        """Return a question that reads no setting at all."""
        return next((question for question, settings in self._reads.items() if not settings), None)

    def may_help(self) -> bool:
        """Return True if one or two settings are all that the questions read; nothing has to be asked for that."""
        pairs = combinations_with_replacement(self._settings.values(), 2)
        return any(set(self._failed) <= {*self._of(one), *self._of(other)} for one, other in pairs)

    def closed(self) -> Question | None:
        """Return a question that nothing opens: none of the settings that it reads, and no two of them together."""
        for question, settings in sorted(self._reads.items(), key=lambda one: len(one[1])):
            opened = any(self._first(setting, (question,)) for setting in settings)
            if not opened and not any(self._at_ends(*pair, (question,)) for pair in combinations(settings, 2)):
                return question
        return None

    def one(self) -> Advice | None:
        """Return the smallest change of one setting; None if none lets the candidate through."""
        found: Advice | None = None
        for setting in _in_all([*self._reads.values()]):
            change = self._first(setting, self._failed)
            if change and (found is None or change.size < found.size) and self._fits((change,)):
                found = Advice((change,))
        return found

    def two(self) -> Advice | None:
        """Return the smallest change of two settings, each of which opens something alone."""
        found: Advice | None = None
        fewest = min(self._failed, key=lambda question: len(self._reads[question]))
        for setting in self._reads[fewest]:
            for questions in dict.fromkeys((self._of(setting), (fewest,))):
                first = self._first(setting, questions)
                for second in self._seconds(first, found.size if found else inf) if first else ():
                    found = Advice((first, second)) if first else found
        return found

    def two_at_once(self) -> Advice | None:
        """Return the smallest change of two settings that open something only together."""
        found: Advice | None = None
        for pair in combinations(self._settings.values(), 2):
            # What one of them opens alone was tried with a second one before.
            alone = any(self._firsts.get((setting.path, self._failed)) for setting in pair)
            if alone or not self._at_ends(*pair, self._failed):
                continue
            for first, second in (pair, pair[::-1]):
                changes = self._together(first, second, self._failed)
                one = Advice(changes) if changes else None
                if one and (found is None or one.size < found.size) and self._fits(one.changes):
                    found = one
                if changes and self._is_corner(*changes):
                    break
        return found

    def _is_corner(self, first: Change, second: Change) -> bool:
        """Return True if more of the first change needs no less of the second one, so that there is one answer."""
        ends = (value for value in _ends(first.setting) if _beyond(first, value))
        values = ({first.setting.path: value, second.setting.path: second.nearer} for value in ends)
        return not any(self._opened(each, self._failed) for each in values)

    def _at_ends(self, first: Setting, second: Setting, questions: Collection[Question]) -> bool:
        """Return True if none of these questions refuses with two settings at ends of what they may be."""
        values = ({first.path: one, second.path: other} for one in _ends(first) for other in _ends(second))
        return any(self._opened(each, questions) for each in values)

    def _opened(self, changes: Changes, questions: Collection[Question]) -> bool:
        now = self._asking.ask(changes)
        return now is not None and not any(question in now.failed for question in questions)

    def _together(
        self, first: Setting, second: Setting, questions: tuple[Question, ...]
    ) -> tuple[Change, Change] | None:
        """Return the least of the first setting with which the second one opens these questions, and that one."""
        for far in _ends(second):
            change = self._opening({second.path: far}, first, questions, self._said, inf)
            if change is not None:
                other = self._opening({first.path: change.value}, second, questions, self._said, inf)
                if other is not None:
                    return change, other
        return None

    def _seconds(self, first: Change, within: float) -> Iterator[Change]:
        """Yield the changes of a second setting that let the candidate through after a first change."""
        base = {first.setting.path: first.value}
        said = self._asking.ask(base)
        if said is None or first.size >= within:
            return
        if said.through:
            others = self._asking.related(first.setting)
            changes = (self._fitting(base, one, first) for one in others)
        else:
            left = _causes(said.failed)
            reads = {question: self._asking.reads(question) for question in left}
            changes = (
                self._opening(base, one, left, said, within - first.size)
                for one in _in_all(list(reads.values()))
                if one.path != first.setting.path
            )
        for change in changes:
            if change and change.size + first.size < within and self._fits((first, change)):
                within = change.size + first.size
                yield change

    def _fitting(self, base: Changes, setting: Setting, first: Change) -> Change | None:
        """Return the smallest change of a setting with which a first change loads."""
        guess = Guess(first.value, likely=True) if isinstance(first.value, Decimal) else None
        return nearest(setting, lambda value: self._asking.loads({**base, setting.path: value}), guess)

    def _first(self, setting: Setting, questions: tuple[Question, ...]) -> Change | None:
        key = setting.path, questions
        if key not in self._firsts:
            self._firsts[key] = self._opening({}, setting, questions, self._said, inf)
        return self._firsts[key]

    def _opening(
        self, base: Changes, setting: Setting, questions: Collection[Question], said: Said, within: float
    ) -> Change | None:
        """Return the smallest change of a setting, on top of others, with which none of these questions refuses."""
        guess = _guess(said, questions, setting)
        return nearest(setting, lambda value: self._opened({**base, setting.path: value}, questions), guess, within)

    def _fits(self, changes: tuple[Change, ...]) -> bool:
        """Return True if the candidate goes through with these changes, and they load."""
        values = Advice(changes).values
        said = self._asking.ask(values)
        return said is not None and said.through and self._asking.loads(values)

    def _of(self, setting: Setting) -> tuple[Question, ...]:
        """Return the questions that read a setting."""
        return tuple(
            question for question in self._failed if any(one.path == setting.path for one in self._reads[question])
        )


def _in_all(some: Sequence[Sequence[Setting]]) -> Sequence[Setting]:
    """Return the settings that stand in each of these lists, in the order of the first."""
    first, *others = some or ((),)
    return [one for one in first if all(any(one.path == each.path for each in other) for other in others)]


def _guess(said: Said, questions: Collection[Question], setting: Setting) -> Guess | None:
    """Return what the only one of these questions observed: where the setting is its limit, that is the answer."""
    decisions = [said.failed[question] for question in questions if question in said.failed]
    if len(decisions) != 1 or not _is_number(observed := decisions[0].observed):
        return None
    limit = decisions[0].limit
    return Guess(Decimal(str(observed)), likely=_is_number(limit) and Decimal(str(limit)) == setting.value)


def _is_number(value: object) -> bool:
    return isinstance(value, Decimal | float | int) and not isinstance(value, bool)


def _beyond(change: Change, value: Value) -> bool:
    """Return True if a value is farther than a change, in its direction."""
    before, after = change.setting.value, change.value
    numbers = isinstance(before, Decimal) and isinstance(after, Decimal) and isinstance(value, Decimal)
    return not numbers or (after > before) is (value > after)  # type: ignore[operator]


def _ends(setting: Setting) -> Iterator[Value]:
    """Yield the farthest values of a setting."""
    if isinstance(setting.value, bool):
        yield not setting.value
    elif setting.scale is not None:
        yield from (setting.scale.at(setting.scale.first),) if setting.toward <= 0 else ()
        yield from (setting.scale.at(setting.scale.last),) if setting.toward >= 0 else ()
        if setting.may_be_off:
            yield None
