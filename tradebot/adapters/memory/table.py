"""One table in memory, with its indexes."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Any, Generic, TypeVar

from tradebot.adapters.ledger.table import Index, Kind, Row, Table
from tradebot.adapters.ledger.tables import KINDS

Read = TypeVar("Read")


class MemoryTable(Generic[Row]):
    """The rows of one account, numbered in the order in which they were written."""

    def __init__(self, kind: Kind[Row]) -> None:
        self._kind = kind
        self._key_of = kind.key_of
        self._only_appended = kind.is_numbered and not kind.key
        self._rows: dict[int, Row] = {}
        self._numbers: dict[Any, int] = {}
        self._indexes: dict[str, Sorted[Row] | Hashed[Row]] = {
            name: (Sorted if index.sorted else Hashed)(index) for name, index in kind.indexes.items()
        }
        self.newest = 0
        """The number of the row that was added last."""
        self.changes: list[int] = []
        """The numbers of the rows that were changed since it was made or read, in that order."""

    @property
    def version(self) -> int:
        """Return how many times it was changed since it was made or read."""
        return len(self.changes)

    def add(self, row: Row) -> bool:
        key = self._key_of(row)
        if key in self._numbers:
            return False
        self.newest += 1
        self._put(self.newest, key, row)
        return True

    def _put(self, number: int, key: Any, row: Row) -> None:
        self.changes.append(number)
        if not self._only_appended:
            self._numbers[key] = number
        self._rows[number] = row
        for index in self._indexes.values():
            index.add(number, row)

    def __getstate__(self) -> tuple[str, int, dict[int, Row]]:
        """Return what is to be copied or pickled: the rows, from which the indexes are made again."""
        return self._kind.name, self.newest, self._rows

    def __setstate__(self, state: tuple[str, int, dict[int, Row]]) -> None:
        name, newest, rows = state
        self.__init__(KINDS[name])  # type: ignore[misc]
        self.newest = newest
        for number, row in rows.items():
            self._put(number, self._key_of(row), row)

    def put(self, row: Row) -> None:
        number = self._numbers.get(self._key_of(row))
        if number is None:
            self.add(row)
            return
        self.changes.append(number)
        before, self._rows[number] = self._rows[number], row
        for index in self._indexes.values():
            index.change(number, before, row)

    def drop(self, *key: Any) -> None:
        number = self._numbers.pop(key, None)
        if number is not None:
            self.changes.append(number)
            row = self._rows.pop(number)
            for index in self._indexes.values():
                index.remove(number, row)

    def get(self, *key: Any) -> Row | None:
        number = self._numbers.get(key)
        return None if number is None else self._rows[number]

    def several(self, keys: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
        rows, numbers = self._rows, self._numbers
        return {key: rows[number] for key in keys if (number := numbers.get(key)) is not None}

    def known(self, keys: Collection[str]) -> frozenset[str]:
        return frozenset([key for key in keys if (key,) in self._numbers])

    def among(self, index: str, values: Collection[Any]) -> dict[int, Row]:
        found, rows = self._indexes[index], self._rows
        return {number: rows[number] for value in values for number in found.numbers(value)}

    def span(self, index: str, first: Any, last: Any = None) -> dict[int, Row]:
        rows = self._rows
        return {number: rows[number] for number in self._sorted(index).span(first, last)}

    def after(self, number: int) -> dict[int, Row]:
        if number == self.newest:
            return {}
        return {one: self._rows[one] for one in range(number + 1, self.newest + 1) if one in self._rows}

    def numbered(self, number: int) -> Row | None:
        return self._rows.get(number)

    def last(self, suits: Callable[[Row], bool], index: str = "", until: Any = None) -> Row | None:
        numbers = self._sorted(index).backward(until) if index else reversed(self._rows)
        return next((row for number in numbers if suits(row := self._rows[number])), None)

    def _sorted(self, index: str) -> "Sorted[Row]":
        found = self._indexes[index]
        assert isinstance(found, Sorted), f"{index} isn't sorted"
        return found


class Hashed(Generic[Row]):
    """The numbers of rows by a value."""

    def __init__(self, index: Index[Row]) -> None:
        self._of = index.of
        self._numbers: dict[Any, dict[int, None]] = defaultdict(dict)

    def add(self, number: int, row: Row) -> None:
        """Add a row."""
        value = self._of(row)
        if value is not None:
            self._numbers[value][number] = None

    def remove(self, number: int, row: Row) -> None:
        """Remove a row."""
        value = self._of(row)
        if value is not None:
            del self._numbers[value][number]

    def change(self, number: int, before: Row, row: Row) -> None:
        """Replace a row."""
        if self._of(before) != self._of(row):
            self.remove(number, before)
            self.add(number, row)

    def numbers(self, value: Any) -> Collection[int]:
        """Return the numbers of the rows with a value."""
        return self._numbers.get(value, ())


class Sorted(Generic[Row]):
    """The numbers of rows in the order of a value."""

    def __init__(self, index: Index[Row]) -> None:
        self._of = index.of
        self._values: list[Any] = []
        self._numbers: list[int] = []

    def add(self, number: int, row: Row) -> None:
        """Add a row after those with the same value."""
        value = self._of(row)
        place = len(self._values) if self._values and self._values[-1] <= value else bisect_right(self._values, value)
        self._values.insert(place, value)
        self._numbers.insert(place, number)

    def remove(self, number: int, row: Row) -> None:
        """Remove a row."""
        place = self._numbers.index(number, bisect_left(self._values, self._of(row)))
        del self._values[place], self._numbers[place]

    def change(self, number: int, before: Row, row: Row) -> None:
        """Replace a row."""
        if self._of(before) != self._of(row):
            self.remove(number, before)
            self.add(number, row)

    def numbers(self, value: Any) -> Collection[int]:
        """Return the numbers of the rows with a value."""
        return self.span(value, value)

    def span(self, first: Any, last: Any) -> Collection[int]:
        """Return the numbers of the rows with values from `first` through `last` (None: through the greatest)."""
        end = len(self._values) if last is None else bisect_right(self._values, last)
        return self._numbers[bisect_left(self._values, first) : end]

    def backward(self, last: Any) -> Iterator[int]:
        """Yield the numbers of the rows with values up to one, from the greatest value down."""
        return (self._numbers[place] for place in range(bisect_right(self._values, last) - 1, -1, -1))


class Remembered:
    """What was read of a table, until it changes; a copy or a pickle remembers nothing."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, dict[Any, Any]]] = {}

    def __reduce__(self) -> tuple[type["Remembered"], tuple[()]]:
        return Remembered, ()

    def of(self, table: Table[Any], name: str, asked: Hashable, read: Callable[[], Read]) -> Read:
        """Return what `read` returned for the same question, or ask it now; `name` says what is read of the table."""
        assert isinstance(table, MemoryTable), "a table in memory knows its version"
        known = self._read.get(name)
        if known is None or known[0] != table.version:
            known = self._read[name] = table.version, {}
        answers: dict[Any, Read] = known[1]
        if asked not in answers:
            answers[asked] = read()
        return answers[asked]
