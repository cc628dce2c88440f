"""Read a field of many rows at once, if all values have the source's usual form.

Each function does for all rows what the function of the same name in `fields` does for one row. It raises
NotColumnarError if any value needs individual treatment: the rows are then read one by one, which identifies the bad
ones.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import repeat
from types import NoneType
from typing import Any, TypeVar

from tradebot.model.fact_kind import Columns, FactColumn
from tradebot.model.instrument import Right
from tradebot.signals.fields import FUTURE_TOLERANCE, LARGEST_COUNT, LONGEST_TEXT, PLAIN_DIGITS, RIGHTS, date_of

T = TypeVar("T")
_NULLS = FactColumn((), frozenset({NoneType}))
"""The value that an omitted field counts as."""


class NotColumnarError(ValueError):
    """Raised for rows that can't be read as columns and must be read one by one."""


def columns(rows: Sequence[object]) -> Columns | None:
    """Return rows as columns; None unless all are objects with the same fields in the same order."""
    names = [*rows[0]] if rows and isinstance(rows[0], dict) else []
    if not names or any(not isinstance(row, dict) or [*row] != names for row in rows):
        return None
    together: Iterable[Any] = map(dict.values, rows)  # type: ignore[arg-type]  # each of them is a dict
    return {
        name: FactColumn(values, frozenset(map(type, values)))
        for name, values in zip(names, zip(*together, strict=True), strict=True)
    }


def optional(
    read: Callable[[Columns, str], Iterable[T]], columns: Columns, name: str, absent: T | None = None
) -> Iterable[T | None]:
    """Return what `read` returns, and `absent` for each null, or for all rows if the field was left out."""
    column = columns.get(name, _NULLS)
    if NoneType not in column.types:
        return read(columns, name)
    types = column.types - _NULLS.types
    if not types:
        return repeat(absent)
    usable = iter(read({name: FactColumn([value for value in column.values if value is not None], types)}, name))
    return [absent if value is None else next(usable) for value in column.values]


def text(columns: Columns, name: str) -> Sequence[str]:
    """Return a text field of all rows; each text must have 1 to 128 characters."""
    values = _of(str, columns, name)
    if max(map(len, values)) > LONGEST_TEXT or not all(map(str.strip, values)):
        raise NotColumnarError
    return values


def not_negative(columns: Columns, name: str) -> Sequence[Decimal]:
    """Return a number field of all rows; each number must be sent as text and be at least 0."""
    return _numbers(columns, name, Decimal)


def positive(columns: Columns, name: str) -> Sequence[Decimal]:
    """Return a number field of all rows; each number must be sent as text and be above 0."""
    return _none_zero(_numbers(columns, name, Decimal))


def positive_float(columns: Columns, name: str) -> Sequence[float]:
    """Return a number field of all rows as floats; each number must be sent as text and be above 0."""
    return _none_zero(_numbers(columns, name, float))


def count(columns: Columns, name: str) -> Sequence[int]:
    """Return a field of all rows as whole numbers, each of which must be at least 0."""
    values = _of(int, columns, name)
    if min(values) < 0 or max(values) > LARGEST_COUNT:
        raise NotColumnarError
    return values


def boolean(columns: Columns, name: str) -> Sequence[bool]:
    return _of(bool, columns, name)


def right(columns: Columns, name: str) -> Sequence[Right]:
    return _convert_values(RIGHTS.__getitem__, _of(str, columns, name))


def day(columns: Columns, name: str) -> Sequence[date]:
    return _convert_values(date_of, _of(str, columns, name))


def past_time(columns: Columns, name: str, at: datetime) -> Sequence[datetime]:
    """Return a time field of all rows in UTC; each is ISO text with an offset of zero, at most 5 s later than `at`."""
    times = _convert_values(datetime.fromisoformat, _of(str, columns, name))
    if any(time.tzinfo is not UTC for time in times) or max(times) - at > FUTURE_TOLERANCE:
        raise NotColumnarError
    return times


def _numbers(columns: Columns, name: str, read: Callable[[str], T]) -> Sequence[T]:
    """Parse strings of digits with at most one dot.

    Strings this short are always usable numbers, and never negative.
    """
    values = _of(str, columns, name)
    if max(map(len, values)) > PLAIN_DIGITS or not "".join(values).replace(".", "").isdigit():
        raise NotColumnarError
    return _convert_values(read, values)


def _none_zero(numbers: Sequence[T]) -> Sequence[T]:
    if not all(numbers):
        raise NotColumnarError
    return numbers


def _of(kind: type[T], columns: Columns, name: str) -> Sequence[T]:
    column = columns.get(name, _NULLS)
    if column.types != {kind}:
        raise NotColumnarError
    return column.values


def _convert_values(read: Callable[[str], T], values: Sequence[str]) -> Sequence[T]:
    try:
        return [*map(read, values)]
    except (KeyError, ValueError, InvalidOperation):
        raise NotColumnarError from None
