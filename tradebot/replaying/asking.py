"""What a search for advice asks, and what it answers."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate
from tradebot.replaying.nearest import Change, Guess, Path, Setting, Value

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
    proposing: "Proposing"


class Proposing(Struct, frozen=True):
    """How to find out what the strategy would have proposed with other values of the `settings` that shape that.

    Unless it is `known`, nobody can tell, and there are no settings. It is asked `most` times, because a strategy that
    looks at all of its universe takes long; what is left then isn't searched. `alone` is what is decided about its
    proposal if nothing else is to be entered in the pass, and `turned` what is decided so about the opposite of what it
    proposed.
    """

    settings: Sequence[Setting]
    known: bool
    most: float
    proposed: Callable[[Changes], Candidate | None]
    alone: Callable[[Changes], Said | None]
    turned: Callable[[], Said | None]


class Advice(Struct, frozen=True):
    """The smallest change of one setting or two; without any, `closed` is a question that no setting opens, if any.

    Then `behind` are the questions that refuse once each that can be opened alone is open. What shapes the strategy's
    proposals was searched if it is `known`, and `complete`ly unless there was too much of it. It is `crowded` if others
    that go first take the room: a change that keeps them out isn't searched.
    """

    changes: tuple[Change, ...] = ()
    closed: Question | None = None
    behind: tuple[Question, ...] = ()
    known: bool = True
    complete: bool = True
    crowded: bool = False

    @property
    def values(self) -> Changes:
        return {change.setting.path: change.value for change in self.changes}

    @property
    def size(self) -> float:
        return sum(change.size for change in self.changes)


def causes(failed: Collection[Question]) -> tuple[Question, ...]:
    """Return what refuses by itself: a full book is asked to make room, and that is no reason of its own."""
    full = {Gate.OPEN_POSITIONS, Gate.OWN_OPEN_POSITIONS} & {question.gate for question in failed}
    return tuple(question for question in failed if not (full and question.gate is Gate.DISPLACEMENT))


def in_all(some: Sequence[Sequence[Setting]]) -> Sequence[Setting]:
    """Return the settings that stand in each of these lists, in the order of the first."""
    first, *others = some or ((),)
    return [one for one in first if all(any(one.path == each.path for each in other) for other in others)]


def guess_of(said: Said, questions: Collection[Question], setting: Setting) -> Guess | None:
    """Return what the only one of these questions observed: where the setting is its limit, that is the answer."""
    decisions = [said.failed[question] for question in questions if question in said.failed]
    if len(decisions) != 1 or not _is_number(observed := decisions[0].observed):
        return None
    limit = decisions[0].limit
    return Guess(Decimal(str(observed)), likely=_is_number(limit) and Decimal(str(limit)) == setting.value)


def _is_number(value: object) -> bool:
    return isinstance(value, Decimal | float | int) and not isinstance(value, bool)


def ends_of(setting: Setting) -> Iterator[Value]:
    """Yield the farthest values of a setting."""
    if isinstance(setting.value, bool):
        yield not setting.value
    elif setting.choices:
        yield from setting.choices
    elif setting.scale is not None:
        yield from (setting.scale.at(setting.scale.first),) if setting.toward <= 0 else ()
        yield from (setting.scale.at(setting.scale.last),) if setting.toward >= 0 else ()
        if setting.may_be_off:
            yield None
