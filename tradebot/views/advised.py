"""What would let a refused candidate through, as values to show: the change, the command, and what else it does."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from tradebot.model.decision import Decision, compared
from tradebot.model.text import in_yaml
from tradebot.replaying.advice import Advice, Question
from tradebot.replaying.nearest import Value
from tradebot.replaying.scale import typed

ACCEPT = "tradebot config accept"
NONE_HELPS = "No change of one or two of its gates' settings lets it through"


class AdvisedChange(Struct, frozen=True):
    """A setting with its value in the pass and the one that is advised, as they are typed."""

    key: str
    value_before: str
    value: str


class Advised(Struct, frozen=True):
    """What would have let a refused candidate through, found by deciding its pass again: the smallest change there is.

    Without changes, `sentence` says why there are none. `commands` make the change; the last one accepts what it
    loosens. `also` are other symbols whose orders would go out too, and `instead` those whose orders wouldn't go out
    any more. `through` is True if the order passes every gate with it.
    """

    strategy: str
    symbol: str
    sentence: str
    changes: tuple[AdvisedChange, ...] = ()
    commands: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()

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
    sends: bool = True,
    also: Sequence[str] = (),
    instead: Sequence[str] = (),
) -> Advised:
    """Return advice about a candidate that was refused by `failed`; `looser` if somebody has to accept the change.

    With `sends` False, nothing is sent at all, or a person is asked first.
    """
    strategy, symbol = whose
    if not found.changes:
        return Advised(strategy, symbol, _without(found, failed))
    changes = tuple(
        AdvisedChange(one.setting.key, text_of(one.setting.value), text_of(one.value)) for one in found.changes
    )
    told = " and ".join(f"{one.key} {one.value} (it was {one.value_before})" for one in changes)
    fate = "gone out" if sends else "passed every gate"
    sentence = " ".join((f"With {told}, {symbol} would have {fate}.", *_besides(also, instead)))
    command = f"tradebot config set {' '.join(f'{one.key} {one.value}' for one in changes)}"
    commands = (command, ACCEPT) if looser else (command,)
    return Advised(strategy, symbol, sentence, changes, commands, tuple(also), tuple(instead))


def unsearched(whose: tuple[str, str], why: str) -> Advised:
    """Return that nothing was searched for a candidate, and why."""
    it = "it" if whose[1] else "them"
    return Advised(*whose, f"What would have let {it} through can't be searched: {why}.")


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


def _without(found: Advice, failed: Mapping[Question, Decision]) -> str:
    """Say that nothing helps, and what stands in the way."""
    if found.closed is None:
        asked = [_name(question) for question in failed]
        return f"{NONE_HELPS}: it is refused by {_listed(asked)}." if asked else f"{NONE_HELPS}."
    decision = failed[found.closed]
    numbers = f", {compared(decision)}" if decision.distance is not None else ""
    return f"{NONE_HELPS}: nothing opens {_name(found.closed)} ({decision.reason}{numbers})."


def _name(question: Question) -> str:
    return f"{question.gate}: {question.about}" if question.about else question.gate.value
