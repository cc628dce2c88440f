"""Search among the settings that shape what a strategy proposes: a weight, a window, a filter of its own.

With another value the strategy may propose more or less, or the opposite, and what holds at one value needn't hold
beyond it. So values are tried at growing distances from the one now, and the nearest is found from the first one that
helps. Most of it is decided about the candidate alone; whatever is told was decided with the whole pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from math import frexp
from typing import NamedTuple

from tradebot.model.candidate import Candidate, WantKind
from tradebot.model.decision import Gate
from tradebot.replaying.asking import (
    Advice,
    Asking,
    Changes,
    Proposing,
    Question,
    Said,
    causes,
    ends_of,
    guess_of,
    in_all,
)
from tradebot.replaying.nearest import Change, Path, Setting, Value, distance, nearest
from tradebot.replaying.scale import DECADE, Scale
from tradebot.replaying.strength import COVERAGE, SCORE

NEAR = (0, 1, 3, 7, 15, 31, 63)
"""The first distances at which values are tried, in places of the scale; then every `THEN` places, later `LATER`."""
THEN, LATER = DECADE // 6, DECADE
FINE = 3 * DECADE // 2
OFF_STEP, LEAST = DECADE // 2, -4 * DECADE
"""The distance between the values that are tried for what is off, and the place of the smallest fraction of them."""
WHOLE = 8
"""How often the whole pass is decided again for one candidate."""
FINER = 24
"""How often more, once it is known that a value helps."""
COMBINED = 300
"""How many pairs of settings that shape proposals are tried."""


class Way(NamedTuple):
    """The values of a setting that are tried in one direction, the nearest first; numbers with their places."""

    setting: Setting
    values: tuple[Value, ...]
    places: tuple[int, ...] = ()
    step: int = 1

    def at_least(self, number: int) -> float:
        """Return how large a change is at least if it isn't enough at the value before this one."""
        return distance(self.setting.value, self.values[max(number - 1, 0)])

    def nearest(self, number: int, holds: Callable[[Value], bool]) -> Change:
        """Return the smallest change that holds, if it holds at this value and at none before it."""
        setting, scale = self.setting, self.setting.scale
        if scale is None or not self.places:
            return Change(setting, self.values[number], setting.value)
        holding, first = self.places[number], self.places[0]
        failing = self.places[number - 1] if number else first - self.step
        while (holding - failing) * self.step > 1:
            middle = (holding + failing) // 2
            failing, holding = (failing, middle) if holds(scale.at(middle)) else (middle, holding)
        before = setting.value if holding == first else scale.at(holding - self.step)
        return Change(setting, scale.at(holding), before)


def ways(setting: Setting) -> Iterator[Way]:
    """Yield the directions in which a setting may be changed."""
    value, scale = setting.value, setting.scale
    for choice in setting.choices:
        yield Way(setting, (choice,))
    if scale is None or isinstance(value, str | bool):
        return
    if value is None:
        yield _way(setting, scale, 1, _from_off(scale))
        return
    for step, end in ((1, scale.last), (-1, scale.first)):
        start = scale.next_to(value, step)
        room = (end - start) * step
        if room >= 0:
            yield _way(setting, scale, step, [start + step * far for far in (*_distances(room), room)])
    if setting.may_be_off:
        yield Way(setting, (None,))


def _way(setting: Setting, scale: Scale, step: int, places: Sequence[int]) -> Way:
    kept = tuple(dict.fromkeys(places))
    return Way(setting, tuple(map(scale.at, kept)), kept, step)


def _from_off(scale: Scale) -> list[int]:
    first = scale.first if scale.whole else max(scale.first, LEAST)
    return [*range(first, scale.last, OFF_STEP), scale.last]


def _distances(room: int) -> Iterator[int]:
    yield from (far for far in NEAR if far < room)
    far = NEAR[-1] + THEN
    while far < room:
        yield far
        far += THEN if far < FINE else LATER


class Opened(NamedTuple):
    """A value of a setting, and the questions that refuse the candidate with it."""

    path: Path
    value: Value
    left: frozenset[Question]


class Reshaping:
    """The search for one candidate among the settings that shape proposals."""

    def __init__(self, asking: Asking) -> None:
        self._asking, self._proposing = asking, (proposing := asking.proposing)
        self._whole = WHOLE
        self.complete, self.crowded = True, False
        self._asked = set[frozenset[tuple[Path, Value]]]()
        self._now = self._proposed({})
        self._ways = [way for setting in proposing.settings for way in self._live(setting)]

    def _live(self, setting: Setting) -> list[Way]:
        """Return the ways of a setting; none if its values change nothing."""
        found = [*ways(setting)]
        some = {value for way in found for value in (way.values[0], way.values[len(way.values) // 2], way.values[-1])}
        changes = any(self._proposed({setting.path: value}) != self._now for value in some)
        return found if changes else []

    def one(self, within: float) -> Advice | None:
        """Return the smallest change of one setting below a size; None if none lets the candidate through."""
        found: Advice | None = None
        for way in self._ways:
            change = self._one(way, found.size if found else within)
            found = Advice((change,)) if change else found
        return found

    def _one(self, way: Way, within: float) -> Change | None:
        path, hits = way.setting.path, 0
        for number, value in enumerate(way.values):
            if way.at_least(number) >= within or hits > 2:
                return None
            if not self._through({path: value}):
                continue
            hits += 1
            # If others go first, a stronger score may still do; then the whole pass says where that begins.
            holds = self._through if hits == 1 else self._fits
            if hits > 1 and not self._fits({path: value}):
                continue
            change = way.nearest(number, lambda each, holds=holds: holds({path: each}))  # type: ignore[misc]
            if change.size >= within:
                return None
            if self._fits({path: change.value}):
                return change
        return None

    def two(self, within: float) -> Advice | None:
        """Return the smallest change of a setting that shapes proposals, with one that a gate reads."""
        found: Advice | None = None
        for way in sorted(self._ways, key=lambda one: one.at_least(0)):
            seen = set[tuple[frozenset[Question], tuple[object, ...]]]()
            for number, value in enumerate(way.values):
                room = (found.size if found else within) - way.at_least(number)
                if room <= 0 or self._whole <= 0:
                    break
                left = self._left({way.setting.path: value})
                # How far it is from a limit may decide whether that can be lowered so far.
                key = (left or frozenset(), self._distances_left({way.setting.path: value}))
                if left and key not in seen:
                    seen.add(key)
                    found = self._with_second(way, number, left, found.size if found else within) or found
        return found

    def _with_second(self, way: Way, number: int, left: frozenset[Question], within: float) -> Advice | None:
        """Return a change of a setting after which only these questions refuse, with one that opens them."""
        path, found = way.setting.path, None
        for setting in in_all([self._asking.reads(question) for question in left]):
            if setting.path == path:
                continue
            enough = self._second({path: way.values[number]}, setting, left, within - way.at_least(number))
            if enough is None:
                continue
            first = self._first(way, number, {setting.path: enough.value})
            if self._through({path: first.value}) and self._fits({path: first.value}):
                # It is one of a few values that are enough alone, between those that were tried.
                return Advice((first,))
            second = self._second({path: first.value}, setting, left, within - first.size)
            if second and not self._fits({path: first.value, setting.path: second.value}):
                second = self._roomier({path: first.value}, setting, within - first.size)
            if second:
                found = Advice((first, second))
                within = found.size
        return found

    def _first(self, way: Way, number: int, others: Changes) -> Change:
        """Return the smallest change with which the candidate goes through alone, as it does at this value."""
        path = way.setting.path
        while number and self._through({**others, path: way.values[number - 1]}):
            number -= 1
        return way.nearest(number, lambda each: self._through({**others, path: each}))

    def _roomier(self, base: Changes, setting: Setting, within: float) -> Change | None:
        """Return the smallest change of a setting with which the candidate goes through though others go first."""
        if not any(self._fits({**base, setting.path: end}) for end in ends_of(setting)):
            return None
        self._whole += FINER
        return nearest(setting, lambda value: self._fits({**base, setting.path: value}), None, within)

    def _second(self, base: Changes, setting: Setting, left: frozenset[Question], within: float) -> Change | None:
        said = self._proposing.alone(base)
        if said is None or within <= 0:
            return None
        guess = guess_of(said, left, setting)
        return nearest(setting, lambda value: self._through({**base, setting.path: value}), guess, within)

    def opens(self, question: Question) -> bool:
        """Return True if a setting that shapes proposals opens a question, whatever else refuses then."""
        changes = ({way.setting.path: value} for way in self._ways for value in way.values)
        return any(self._doesnt_refuse(question, each) for each in changes)

    def _doesnt_refuse(self, question: Question, changes: Changes) -> bool:
        refused = self._refused(changes)
        if refused is None or question in refused[1]:
            return False
        said = None if question.about else self._proposing.alone(changes)
        return said is None or question not in said.failed

    def together(self) -> Advice | None:
        """Return a change of two settings that shape proposals, neither of which is enough with a gate's."""
        tried, openers, now = 0, self._openers(), self._left({})
        if now is None or not now <= frozenset().union(*(now - one.left for one in openers)):
            return None
        for one, other in combinations(openers, 2):
            if one.path == other.path or len(one.left & other.left) > 1:
                continue
            tried += 1
            if tried > COMBINED:
                self.complete = False
                return None
            changes = {one.path: one.value, other.path: other.value}
            if self._through(changes) and self._fits(changes):
                self._whole += FINER
                return self._nearer(changes)
        return None

    def _openers(self) -> list[Opened]:
        """Return values with which a question that refuses now doesn't, one for each set of those that still do."""
        now, found = self._left({}), dict[tuple[Path, frozenset[Question]], Opened]()
        for way in self._ways:
            for value in way.values:
                left = self._left({way.setting.path: value})
                if left is not None and now is not None and now - left:
                    found.setdefault((way.setting.path, left), Opened(way.setting.path, value, left))
        return sorted(found.values(), key=lambda one: len(one.left))

    def _nearer(self, changes: Mapping[Path, Value]) -> Advice:
        """Return two changes with each of them no larger than it has to be."""
        values, made = dict(changes), list[Change]()
        for path in changes:
            way, number = next(
                (way, way.values.index(values[path]))
                for way in self._ways
                if way.setting.path == path and values[path] in way.values
            )
            helps = [self._fits({**values, path: value}) for value in way.values[:number]]
            number = helps.index(True) if True in helps else number
            change = way.nearest(number, lambda each, path=path: self._fits({**values, path: each}))  # type: ignore[misc]
            values[path] = change.value
            made.append(change)
        return Advice(tuple(made))

    def _refused(self, changes: Changes) -> tuple[Candidate, frozenset[Question]] | None:
        """Return what the strategy proposes, with those of its own filters that refuse it."""
        candidate = self._proposed(changes)
        if candidate is None:
            return None
        return candidate, frozenset(Question(one.gate, one.about) for one in candidate.decisions if not one.passed)

    def _proposed(self, changes: Changes) -> Candidate | None:
        """Return what the strategy proposes, if anything; None if it was asked too often already."""
        key = frozenset(changes.items())
        if key not in self._asked and len(self._asked) >= self._proposing.most:
            self.complete = False
            return None
        self._asked.add(key)
        return self._proposing.proposed(changes)

    def _distances_left(self, changes: Changes) -> tuple[object, ...]:
        """Return what its filters observed of a proposal that they refuse, and how strong it is, but for a half."""
        candidate = self._proposed(changes)
        if candidate is None:
            return ()
        return frexp(candidate.score or 0.0)[1], *(one.observed for one in candidate.decisions if not one.passed)

    def _left(self, changes: Changes) -> frozenset[Question] | None:
        """Return the questions that refuse the candidate alone; None if no setting opens what its filters refuse."""
        refused = self._refused(changes)
        if refused is None or (len(refused[1]) > 1 and not in_all([*map(self._asking.reads, refused[1])])):
            return None
        said = self._proposing.alone(changes)
        return frozenset(causes(said.failed)) if said else None

    def _through(self, changes: Changes) -> bool:
        """Return True if the candidate alone goes through."""
        refused = self._refused(changes)
        if refused is None or any(not self._read(question, changes) for question in refused[1]):
            return False
        said = self._proposing.alone(changes)
        through = said is not None and said.through
        # Alone it goes through, so others are in its way.
        self.crowded = self.crowded or not through
        return through

    def _read(self, question: Question, changes: Changes) -> bool:
        """Return True if one of these changes may open a strategy's own filter."""
        return len(changes) > 1 and any(setting.path in changes for setting in self._asking.reads(question))

    def _fits(self, changes: Changes) -> bool:
        """Return True if the candidate goes through in the whole pass, and the changes load."""
        if not self._asking.loads(changes):
            return False
        said: Said | None = self._asking.ask(changes) if self._whole > 0 else None
        self._whole -= 1
        return said is not None and said.through


def matters(proposing: Proposing, alone: Said | None) -> bool:
    """Return True if another proposal could open a question that refuses the candidate alone.

    One that only has a score and a side opens nothing but its strategy's filters, what compares its strength, and what
    looks at its side.
    """
    candidate = proposing.proposed({})
    if alone is None or candidate is None or alone.through:
        return False
    if candidate.want is not WantKind.OPEN or candidate.stop_loss_fraction is not None or candidate.targets:
        return True
    turned = proposing.turned()
    return turned is None or any(
        question.gate is Gate.STRATEGY or question in (SCORE, COVERAGE) or question not in turned.failed
        for question in alone.failed
    )


def hopeless(proposing: Proposing, question: Question) -> bool:
    """Return True if a question without settings refuses whatever the strategy proposes."""
    said = proposing.turned()
    return said is None or question in said.failed
