"""Search the smallest change of settings that lets a refused candidate through, by asking again what decided.

Settings are tried that a gate which refuses says it reads, and those that shape what the strategy proposes. One setting
is changed if that is enough, or else two; of several answers, the one is given whose numbers change least. Nothing is
looked up, so nothing can be out of date.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations, combinations_with_replacement
from math import inf
from typing import NamedTuple

from tradebot.model.values import replace
from tradebot.replaying.asking import Advice, Asking, Changes, Question, Said, causes, ends_of, guess_of, in_all
from tradebot.replaying.nearest import Change, Guess, Path, Setting, Value, nearest
from tradebot.replaying.reshaping import Reshaping, hopeless, matters


def advice(asking: Asking) -> Advice:
    """Return the smallest change that lets the candidate through and loads; it is empty if there is none."""
    said = asking.ask({})
    if said is None or not said.failed:
        return Advice()
    search = _Search(asking, said, {question: asking.reads(question) for question in causes(said.failed)})
    proposing, unread = asking.proposing, search.unread()
    if unread and hopeless(proposing, unread):
        return Advice(closed=unread)
    alone = proposing.alone({})
    shapes = Reshaping(asking) if proposing.settings and matters(proposing, alone) else None
    closed = None if unread else search.closed() if search.may_help() else None
    gates = not unread and closed is None and search.may_help()
    one = search.one() if gates else None
    if shapes:
        one = shapes.one(one.size if one else inf) or one
    if one:
        return one
    two = (search.two() or search.two_at_once()) if gates else None
    if shapes:
        two = shapes.two(two.size if two else inf) or two or shapes.together()
    if two:
        return two
    if closed and shapes and shapes.opens(closed):
        closed = None
    complete = shapes is None or shapes.complete
    behind = _behind(asking, search, alone)
    crowded = behind.crowded or (shapes is not None and shapes.crowded)
    return Advice((), closed or unread, behind.left, known=proposing.known, complete=complete, crowded=crowded)


class _Behind(NamedTuple):
    """What refuses once each question that can be opened alone is open, and whether only others are in the way then."""

    left: tuple[Question, ...]
    crowded: bool


def _behind(asking: Asking, search: "_Search", alone: Said | None) -> _Behind:
    if alone is not None:
        reads = {question: asking.reads(question) for question in causes(alone.failed)}
        search = _Search(replace(asking, ask=asking.proposing.alone), alone, reads)
    opened = search.opened()
    now, left = asking.ask(opened), asking.proposing.alone(opened)
    behind = causes(now.failed) if now else ()
    return _Behind(behind, left is not None and not {*behind} <= {*left.failed})


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

    def opened(self) -> Changes:
        """Return changes with which each question is open that can be opened alone."""
        changes: dict[Path, Value] = {}
        for question, settings in self._reads.items():
            opening = (self._first(setting, (question,)) for setting in settings if setting.path not in changes)
            if change := next(filter(None, opening), None):
                changes[change.setting.path] = change.value
        return changes

    def one(self) -> Advice | None:
        """Return the smallest change of one setting; None if none lets the candidate through."""
        found: Advice | None = None
        for setting in in_all([*self._reads.values()]):
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
        ends = (value for value in ends_of(first.setting) if _beyond(first, value))
        values = ({first.setting.path: value, second.setting.path: second.nearer} for value in ends)
        return not any(self._opened(each, self._failed) for each in values)

    def _at_ends(self, first: Setting, second: Setting, questions: Collection[Question]) -> bool:
        """Return True if none of these questions refuses with two settings at ends of what they may be."""
        values = ({first.path: one, second.path: other} for one in ends_of(first) for other in ends_of(second))
        return any(self._opened(each, questions) for each in values)

    def _opened(self, changes: Changes, questions: Collection[Question]) -> bool:
        now = self._asking.ask(changes)
        return now is not None and not any(question in now.failed for question in questions)

    def _together(
        self, first: Setting, second: Setting, questions: tuple[Question, ...]
    ) -> tuple[Change, Change] | None:
        """Return the least of the first setting with which the second one opens these questions, and that one."""
        for far in ends_of(second):
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
            left = causes(said.failed)
            reads = {question: self._asking.reads(question) for question in left}
            changes = (
                self._opening(base, one, left, said, within - first.size)
                for one in in_all(list(reads.values()))
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
        guess = guess_of(said, questions, setting)
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


def _beyond(change: Change, value: Value) -> bool:
    """Return True if a value is farther than a change, in its direction."""
    before, after = change.setting.value, change.value
    numbers = isinstance(before, Decimal) and isinstance(after, Decimal) and isinstance(value, Decimal)
    return not numbers or (after > before) is (value > after)  # type: ignore[operator]
