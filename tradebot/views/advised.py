"""What would let a refused candidate through, as values to show: the change, the command, and what else it does."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct

from tradebot.model.decision import Decision, compared
from tradebot.model.text import in_yaml
from tradebot.model.values import replace
from tradebot.replaying.asking import Advice, Question
from tradebot.replaying.nearest import Change, Path, Value
from tradebot.replaying.scale import typed

ACCEPT = "tradebot config accept"
NONE_HELPS = "No change of one or two settings lets it through"

NO_GATE_OPENS = "No change of one or two settings that its gates read lets it through"
BESIDE = " beside the orders that go first"


class AdvisedChange(Struct, frozen=True):
    """A setting with its value in the pass and the one that is advised, as they are typed.

    `value_now` is the setting's value in the configuration now, if that goes as far as advised, or farther.
    """

    key: str
    value_before: str
    value: str
    value_now: str | None = None


class Advised(Struct, frozen=True):
    """What would have let a refused candidate through, found by deciding its pass again: the smallest change there is.

    Without changes, `sentence` says why there are none, and whether it was `searched` at all. `commands` make the
    change, as far as it isn't in force already; the last one accepts what it loosens. `also` are other symbols whose
    orders would go out too, and `instead` those whose orders wouldn't go out any more. `through` is True if the order
    passes every gate with it.
    """

    strategy: str
    symbol: str
    sentence: str
    changes: tuple[AdvisedChange, ...] = ()
    commands: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    searched: bool = True

    @property
    def through(self) -> bool:
        return bool(self.changes)


def text_of(value: Value) -> str:
    """Return a value as it is typed."""
    return typed(value) if isinstance(value, Decimal) else in_yaml(value)


def advised(
    whose: tuple[str, str],
    found: Advice,
    failed: Mapping[Question, Decision],
    *,
    looser: bool,
    now: Mapping[Path, Value] = MappingProxyType({}),
    sends: bool = True,
    also: Sequence[str] = (),
    instead: Sequence[str] = (),
) -> Advised:
    """Return advice about a candidate that was refused by `failed`; `looser` if somebody has to accept the change.

    `now` are the values that the advised settings have in the configuration now. With `sends` False, nothing is sent at
    all, or a person is asked first.
    """
    strategy, symbol = whose
    if not found.changes:
        return Advised(strategy, symbol, _without(found, failed, strategy))
    changes = tuple(_change(one, now) for one in found.changes)
    told = " and ".join(f"{one.key} {one.value} (it was {one.value_before})" for one in changes)
    fate = "gone out" if sends else "passed every gate"
    in_force = [f"{one.key} is {one.value_now}" for one in changes if one.value_now is not None]
    already = [f"That is in force already: now, {_listed(in_force)}."] if in_force else []
    sentence = " ".join((f"With {told}, {symbol} would have {fate}.", *_besides(also, instead), *already))
    left = [f"{one.key} {one.value}" for one in changes if one.value_now is None]
    commands = (f"tradebot config set {' '.join(left)}", *([ACCEPT] if looser else [])) if left else ()
    return Advised(strategy, symbol, sentence, changes, commands, tuple(also), tuple(instead))


def unsearched(whose: tuple[str, str], why: str) -> Advised:
    """Return that nothing was searched for a candidate, and why."""
    it = "it" if whose[1] else "them"
    return Advised(*whose, f"What would have let {it} through can't be searched: {why}.", searched=False)


def by_gates_alone(whose: tuple[str, str]) -> Advised:
    """Return that nothing was found where only the settings were tried that gates read."""
    strategy, symbol = whose
    more = f"tradebot why-no-orders {symbol} tries {strategy}'s own too"
    return Advised(strategy, symbol, f"{NO_GATE_OPENS}; {more}.")


def _change(change: Change, now: Mapping[Path, Value]) -> AdvisedChange:
    setting, told = (
        change.setting,
        AdvisedChange(change.setting.key, text_of(change.setting.value), text_of(change.value)),
    )
    value = now.get(setting.path, setting.value)
    if value == setting.value or not _as_far(setting.value, change.value, value):
        return told
    return replace(told, value_now=text_of(value))


def _as_far(before: Value, advised: Value, now: Value) -> bool:
    """Return True if a value is the advised one, or farther from the one before in the same direction."""
    if isinstance(before, Decimal) and isinstance(advised, Decimal) and isinstance(now, Decimal):
        return now >= advised if advised > before else now <= advised
    return now == advised


def _besides(also: Sequence[str], instead: Sequence[str]) -> Iterator[str]:
    if also:
        yield f"So would {_listed(also)}."
    if instead:
        yield f"But not {_listed(instead)}."
    if not also and not instead:
        yield "No other order in that pass would change."


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _without(found: Advice, failed: Mapping[Question, Decision], strategy: str) -> str:
    """Say that nothing helps, and what stands in the way."""
    none = f"{NONE_HELPS}{BESIDE}" if found.crowded else NONE_HELPS
    if not found.known:
        none += f", leaving out {strategy}'s own: what it would have proposed with others isn't known"
    elif not found.complete:
        none += f", leaving out some values of {strategy}'s own, of which there are too many"
    if found.closed is None:
        asked = [_name(question) for question in failed]
        behind = [_name(question) for question in found.behind if question not in failed]
        then = f", and with those open, by {_listed(behind)}" if behind else ""
        return f"{none}: it is refused by {_listed(asked)}{then}." if asked else f"{none}."
    decision = failed[found.closed]
    numbers = f", {compared(decision)}" if decision.distance is not None else ""
    return f"{none}: nothing opens {_name(found.closed)} ({decision.reason}{numbers})."


def _name(question: Question) -> str:
    return f"{question.gate}: {question.about}" if question.about else question.gate.value
