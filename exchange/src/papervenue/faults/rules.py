"""Read the rules of a script strictly; an error names the line, the rule and the field that are invalid."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from papervenue.faults.fault_table import (
    FAULTS,
    NEEDED,
    ON_EVENTS,
    Parameter,
    Read,
    one_of,
    read_glob,
    reader,
    whole_number,
)
from papervenue.faults.kinds import KINDS, STREAMS, Moment, can_meet, is_in_reach, is_pattern, read_moment

if TYPE_CHECKING:
    from papervenue.faults.yamltext import Lines, Path

MOST_RULES = 50
_MOST_WORDS = 20

_WRITING = "docs/FAULTS.md explains every word of a script, and papervenue faults ready shows complete scripts"


class RuleError(Exception):
    """Raised for a script that can't be armed; `hint` says how to fix it.

    The message has the position, the error and the allowed values.
    """

    def __init__(self, message: str, hint: str = _WRITING) -> None:
        super().__init__(message)
        self.hint = hint


PARTS = ("name", "when", "what")
"""The fields of a rule."""


class RuleConditions(NamedTuple):
    """The conditions of a rule; an empty tuple matches every request.

    Counts start at 1. They include only the requests that meet all other conditions.
    """

    request: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    event: tuple[str, ...] = ()
    symbol: tuple[str, ...] = ()
    client_order_id: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    side: str = ""
    nth: tuple[int, ...] = ()
    every: int = 1
    first: int | None = None
    last: int | None = None
    after: Moment | None = None
    until: Moment | None = None
    probability: Decimal = Decimal(1)
    seed: int = 0
    at_most: int | None = None

    @property
    def counts(self) -> bool:
        """Return True if the rule depends on how many requests matched before."""
        placed = bool(self.nth) or self.every > 1 or self.first is not None or self.last is not None
        return placed or self.probability < 1

    def includes(self, index: int) -> bool:
        """Return True if the rule may fire on the match with this number; its probability is ignored.

        `every: 3` alone means 3, 6, 9 …
        """
        if (self.nth and index not in self.nth) or index < (self.first or 1):
            return False
        return (index - (self.first or 0)) % self.every == 0

    @property
    def can_count(self) -> bool:
        """Return True if the rule can fire on at least one match number."""
        places = self.nth or (self.first or self.every,)
        return any(self.includes(index) and index <= (self.last or index) for index in places)

    @property
    def has_time(self) -> bool:
        """Return True if the time window can ever be open.

        A session time can't be compared with other times, so it counts as possible.
        """
        after, until = self.after, self.until
        return after is None or until is None or after.anchor != until.anchor or after.us < until.us


class Rule(NamedTuple):
    """One rule: `settings` has the fault's options, and its main value as "value"; `written` is its original text."""

    name: str
    when: RuleConditions
    fault: str
    settings: Mapping[str, Any]
    written: Mapping[str, Any]


def read_rules(text: str) -> tuple[Rule, ...]:
    """Read the rules of a script; raise RuleError if it is invalid."""
    # Most exchanges never read a script, and loading YAML takes a twentieth of their start.
    from papervenue.faults.yamltext import TextError, read_yaml

    try:
        value, lines = read_yaml(text)
    except TextError as error:
        raise RuleError(_with_line(error.line, str(error))) from error
    if not isinstance(value, list) or not value:
        raise RuleError(_with_line(lines.get(()), "a script is a list of rules, each with name, when and what"))
    if len(value) > MOST_RULES:
        raise RuleError(f"a script has at most {MOST_RULES} rules")
    rules = tuple(_Reader(lines, index).rule(item) for index, item in enumerate(value))
    for index, rule in enumerate(rules):
        if rule.name in [other.name for other in rules[:index]]:
            raise RuleError(_with_line(lines.get((index,)), f"there are two rules named {rule.name}"))
    return rules


def _with_line(line: int | None, message: str) -> str:
    return f"line {line}: {message}" if line else message


class _Reader:
    """Reads one rule of a script, and knows the line of each of its parts."""

    def __init__(self, lines: Lines, index: int) -> None:
        self._lines = lines
        self._place = index
        self._name = ""
        self._fault = ""

    def rule(self, item: object) -> Rule:
        fields = self._mapping(item, (), PARTS)
        self._name = self._read(("name",), fields.get("name"), _read_name)
        if "what" not in fields:
            self._refuse(("what",), f"is missing; it is one of {', '.join(FAULTS)}")
        fault, settings = self._what(fields["what"])
        when = self._when(fields.get("when", {}))
        self._check_fit(when, fault)
        return Rule(self._name, when, fault, settings, _plain(fields))

    def _what(self, item: object) -> tuple[str, dict[str, Any]]:
        if isinstance(item, str):
            item = {item: None}
        if not isinstance(item, dict) or not item:
            self._refuse(("what",), "is a fault, as in `what: reply_lost` or `what: {status: 504}`")
        named = [key for key in item if key in FAULTS]
        if not named:
            self._unknown(("what",), next(iter(item)), FAULTS)
        self._fault = named[0]
        fault = FAULTS[self._fault]
        others = {key: value for key, value in item.items() if key != named[0]}
        for key in others:
            if key not in fault.options:
                self._unknown(("what",), key, fault.options, f" of {named[0]}")
        settings = {name: self._setting((name,), others.get(name), how) for name, how in fault.options.items()}
        return named[0], settings | self._main(named[0], item[named[0]])

    def _main(self, name: str, value: object) -> dict[str, Any]:
        how = FAULTS[name].value
        if how is not None:
            return {"value": self._setting((name,), value, how)}
        if value is not None:
            self._refuse(("what", name), "takes no value")
        return {}

    def _setting(self, path: Path, value: object, how: Parameter) -> Any:
        if value is None:
            if how.default is NEEDED:
                self._refuse(("what", *path), f"must be {how.allowed}")
            return how.default
        return self._read(("what", *path), value, how.read)

    def _when(self, item: object) -> RuleConditions:
        fields = self._mapping({} if item is None else item, ("when",), tuple(CONDITIONS))
        read = {
            _FIELDS.get(name, name): self._read(("when", name), value, CONDITIONS[name])
            for name, value in fields.items()
        }
        when = RuleConditions(**read)
        if when.last is not None and when.last < (when.first or 1):
            self._refuse(("when", "to"), "comes before `from`")
        if not when.can_count:
            self._refuse(("when", "nth" if when.nth else "every"), "means that the rule never fires")
        if not when.has_time:
            self._refuse(("when", "until"), "does not come later than `after`")
        return when

    def _check_fit(self, when: RuleConditions, fault: str) -> None:
        """Refuse a rule that could never fire because its fault doesn't apply to the requests it selects."""
        streamed = FAULTS[fault].role == "stream"
        if when.request and (streamed or when.stream):
            self._refuse(("when", "request"), "isn't allowed for events; write `stream:` alone")
        if when.stream and fault not in ON_EVENTS:
            self._refuse(("when", "stream"), f"goes with {', '.join(ON_EVENTS)}, not with {fault}")
        streams = FAULTS[fault].streams
        if streams and not set(when.stream) <= set(streams):
            self._refuse(("when", "stream"), f"is {', '.join(streams)} for {fault}")
        if when.event and not when.stream and not streamed:
            self._refuse(("when", "event"), "needs `stream:`")
        goes_with = FAULTS[fault].goes_with
        for kind in when.request:
            if not can_meet(kind, goes_with):
                self._refuse(("when", "request"), f"{fault} goes with {', '.join(goes_with)}, not with {kind}")

    def _mapping(self, item: object, path: Path, allowed: Sequence[str]) -> dict[str, Any]:
        if not isinstance(item, dict):
            self._refuse(path, f"is a mapping of {', '.join(allowed)}")
        for key in item:
            if key not in allowed:
                self._unknown(path, key, allowed)
        return item

    def _read(self, path: Path, value: object, how: Read) -> Any:
        try:
            return how(value)
        except ValueError as error:
            self._refuse(path, f"must be {error}, not {str(value)[:40]!r}")

    def _unknown(self, path: Path, key: str, names: Iterable[str], of: str = "") -> NoReturn:
        words = list(names)
        near = difflib.get_close_matches(key, words, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        allowed = f"allowed are {', '.join(words)}" if words else "nothing may follow here"
        self._refuse((*path, key), f"is not known{of}; {hint}{allowed}")

    def _refuse(self, path: Path, problem: str) -> NoReturn:
        rule = f"rule {self._name}" if self._name else f"rule {self._place + 1}"
        field = ".".join(map(str, path))
        hint = f"papervenue faults show {self._fault}" if self._fault and path[:1] == ("what",) else _WRITING
        raise RuleError(_with_line(self._line(path), f"{rule}: {field and field + ' '}{problem}"), hint)

    def _line(self, path: Path) -> int | None:
        """Return the line of a part, or of the nearest enclosing part that is written in the script."""
        around = ((self._place, *path[:length]) for length in range(len(path), -1, -1))
        return next((self._lines[part] for part in around if part in self._lines), None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _some(read: Read) -> Read:
    """Return a reader that accepts one item or a list of items."""

    def read_all(value: object) -> tuple[Any, ...]:
        items = value if isinstance(value, list) else [value]
        if not 0 < len(items) <= _MOST_WORDS:
            raise ValueError(f"one to {_MOST_WORDS} of them")
        return tuple(read(item) for item in items)

    return read_all


_read_name = reader(
    str,
    "a name of letters, digits, dots, dashes and underlines, at most 64",
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch,
)
_read_kind = reader(
    str,
    f"{', '.join(KINDS)}, or a method and a path such as `GET /v2/orders/*`",
    lambda kind: kind in KINDS or (is_pattern(kind) and is_in_reach(kind)),
)
_read_count = whole_number(1, 1_000_000).read
CONDITIONS: Mapping[str, Read] = {
    "request": _some(_read_kind),
    "stream": _some(one_of(*STREAMS).read),
    "event": _some(read_glob),
    "symbol": _some(read_glob),
    "side": reader(str, "buy or sell", ("buy", "sell").__contains__),
    "client_order_id": _some(read_glob),
    "account": _some(read_glob),
    "nth": _some(_read_count),
    "every": _read_count,
    "from": _read_count,
    "to": _read_count,
    "after": read_moment,
    "until": read_moment,
    "probability": reader(Decimal, "a share above 0 and up to 1, such as 0.25", lambda share: 0 < share <= 1),
    "seed": reader(int, "a whole number", lambda seed: abs(seed) <= 10**9),
    "at_most": _read_count,
}
"""The words of `when`, in the order of their explanations."""
_FIELDS = {"from": "first", "to": "last"}
