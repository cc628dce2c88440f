"""Read JSON from external services field by field.

Readable values are used. Each unreadable value is refused, naming its field.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct, field

from tradebot.adapters.wire.http import printable

E = TypeVar("E", bound=StrEnum)
R = TypeVar("R")
T = TypeVar("T")

LONGEST_TEXT = 128
"""The longest text that is accepted. Ids, states, words and times are shorter."""
LONGEST_SYMBOL = 32
"""The longest symbol we accept. An option's symbol has 21 characters; funds and coin pairs have fewer."""

_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(?:\.[0-9]{0,40})?(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)
_NUMERIC = (int, Decimal)
_HIGHEST = Decimal(10) ** 15
_MOST_PLACES = 99
_DISTINCT_DRIFTS = 500


class RowError(ValueError):
    """Raised for a row that can't be used; names the field and the problem, shortened so that it can be shown."""

    def __init__(self, field_name: str, problem: str) -> None:
        problem = printable(problem)
        super().__init__(f"{field_name} {problem}".strip())
        self.field_name = field_name
        self.problem = problem


class FieldDrift(Struct, frozen=True):
    """One difference between a venue's reply and its known form: an unknown field or value, or a refused row."""

    kind: str
    field: str
    problem: str


OnDrift = Callable[[FieldDrift], None]


class DriftTally(Struct):
    """Counts differences; calls `on_drift` when it sees a new kind."""

    on_drift: OnDrift | None = None
    counts: Counter[FieldDrift] = field(default_factory=Counter)

    def note(self, kind: str, field_name: str, problem: str) -> None:
        """Count one difference."""
        drift = FieldDrift(kind, printable(field_name), printable(problem))
        if drift not in self.counts and len(self.counts) >= _DISTINCT_DRIFTS:
            # Names and values are foreign text, so limit how many different ones we keep.
            drift = FieldDrift(kind, "", "too many differences to list each")
        self.counts[drift] += 1
        if self.counts[drift] == 1 and self.on_drift is not None:
            self.on_drift(drift)


class JsonFields:
    """One JSON object from the venue; each reader method returns a field or raises RowError naming it."""

    def __init__(self, kind: str, raw: object, tally: DriftTally) -> None:
        if not isinstance(raw, Mapping):
            raise RowError(kind, "is not a JSON object")
        self._kind = kind
        self._raw: Mapping[str, object] = raw
        self._tally = tally

    def note_unknown(self, names: frozenset[str]) -> None:
        """Count the unknown fields."""
        for name in self._raw.keys() - names:
            self._tally.note(self._kind, name, "is an unknown field")

    def value(self, name: str) -> object:
        """Return the field's raw value; None if it is missing or null."""
        return self._raw.get(name)

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """Return a field that must be non-empty text of at most `longest` characters."""
        value = self._raw.get(name)
        if not isinstance(value, str) or not value:
            raise RowError(name, "is missing" if value in (None, "") else "is not text")
        if len(value) > longest:
            raise RowError(name, f"is longer than {longest} characters: {len(value)}")
        return value

    def text_or_none(self, name: str, longest: int = LONGEST_TEXT) -> str | None:
        """Return text of at most `longest` characters, or None if the field is missing, null or empty."""
        return None if self._raw.get(name) in (None, "") else self.text(name, longest)

    def symbol(self) -> str:
        """Return the row's symbol."""
        return self.text("symbol", LONGEST_SYMBOL)

    def number(self, name: str) -> Decimal:
        """Return a field that must be a finite number, sent as a JSON number or as text."""
        value = self._raw.get(name)
        if value is None or value == "":
            raise RowError(name, "is missing")
        return _number(name, value)

    def number_or_none(self, name: str) -> Decimal | None:
        """Return a number, or None if the field is missing, null or empty."""
        value = self._raw.get(name)
        return None if value is None or value == "" else _number(name, value)

    def positive(self, name: str) -> Decimal:
        """Return a number above zero."""
        number = self.number(name)
        if number <= 0:
            raise RowError(name, f"is not above zero: {number}")
        return number

    def time(self, name: str) -> datetime:
        """Return a timestamp that has an offset, as UTC."""
        return utc(name, self.text(name))

    def time_or_none(self, name: str) -> datetime | None:
        """Return a timestamp as UTC, or None if the field is missing, null or empty."""
        return self.time(name) if self._raw.get(name) not in (None, "") else None

    def enum(self, name: str, kind: type[E]) -> E:
        """Return the enum member; a value that `kind` does not list is counted and becomes `UNKNOWN`."""
        value = self._raw.get(name)
        member = kind(value if isinstance(value, str) else "")
        if member == "unknown":
            self._tally.note(self._kind, name, f"has an unknown value: {value}")
        return member

    def translate_word(self, name: str, words: Mapping[str, E], unknown: E) -> E:
        """Return the meaning of a service's word; an unknown word is counted and becomes `unknown`."""
        value = self._raw.get(name)
        meaning = words.get(value) if isinstance(value, str) else None
        if meaning is None:
            self._tally.note(self._kind, name, f"has an unknown value: {value}")
        return unknown if meaning is None else meaning


def utc(name: str, text: str) -> datetime:
    """Parse an RFC 3339 timestamp as UTC, cutting digits beyond microseconds; raise RowError if it isn't one."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise RowError(name, "has no offset from UTC")
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise RowError(name, "is out of range") from error
    except RowError:
        raise
    except ValueError as error:
        raise RowError(name, f"is not a timestamp: {printable(text)}") from error


def _number(name: str, value: object) -> Decimal:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        raise RowError(name, f"is not a number: {printable(str(value))}")
    number = Decimal(value)
    if not number.is_finite() or abs(number) >= _HIGHEST or number.adjusted() < -_MOST_PLACES:
        raise RowError(name, "is not finite or far too large")
    # Minus zero is zero.
    return number.copy_abs() if number.is_zero() else number


def keep_readable(kind: str, raws: Sequence[R], parse: Callable[[R], T], tally: DriftTally) -> list[T]:
    """Return the rows that `parse` can read; count every other row with its reason and leave it out."""
    readable = []
    for raw in raws:
        try:
            readable.append(parse(raw))
        except RowError as error:
            tally.note(kind, error.field_name, f"row refused: {error.problem}")
    return readable
