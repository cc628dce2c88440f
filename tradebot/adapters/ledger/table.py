"""A table of the ledger as its stores ask it: by key, by index, or in the order of writing.

The stores are written once. Their rows are either in a file (`FileTable`) or, for backtests and tests, in memory
(`MemoryTable`), because asking SQLite would double the time of a backtest.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

Row = TypeVar("Row")


class Index(NamedTuple, Generic[Row]):
    """A way to find rows: by the value that `of` returns; a row for which it returns None isn't found.

    `column` is the column or expression that holds this value in a file, and `named` the file's index to use. An index
    with a `condition` instead has the rows that fulfill it, under the value True. Rows with values in a `span` can be
    asked for only if the index is `sorted`.
    """

    of: Callable[[Row], Any]
    column: str = ""
    named: str = ""
    condition: str = ""
    sorted: bool = False


class Kind(NamedTuple, Generic[Row]):
    """What the rows of a table are.

    `key` are the columns that name a row, and `key_of` returns their values. `fixed` are the other columns of a new
    row, and `changing` those that are also written when it changes. `of_row` makes a row from the `columns` read.
    `order` is the order of rows: by their numbers, unless the table has none.
    """

    name: str
    key: tuple[str, ...]
    key_of: Callable[[Row], tuple[Any, ...]]
    columns: str
    of_row: Callable[..., Any]
    changing: Callable[[Row], Mapping[str, Any]]
    fixed: Callable[[Row], Mapping[str, Any]] = lambda row: {}
    indexes: Mapping[str, Index[Row]] = {}
    order: str = "sequence"

    @property
    def is_numbered(self) -> bool:
        """Return True if each row has a number that says when it was written."""
        return self.order == "sequence"


class Table(Protocol[Row]):
    """The rows of one account. Answers have the rows by number, or by their place if the table isn't numbered."""

    def add(self, row: Row) -> bool:
        """Append a row; return False and change nothing if there is one with its key."""

    def put(self, row: Row) -> None:
        """Write a row, in the place of the one with its key if there is one."""

    def drop(self, *key: Any) -> None:
        """Delete the row with this key, if there is one."""

    def get(self, *key: Any) -> Row | None:
        """Return the row with this key."""

    def several(self, keys: Collection[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
        """Return the rows with these keys, by key."""

    def known(self, keys: Collection[str]) -> frozenset[str]:
        """Return which of these are keys of rows; the key must be a single column."""

    def among(self, index: str, values: Collection[Any]) -> dict[int, Row]:
        """Return the rows with one of these values."""

    def span(self, index: str, first: Any, last: Any = None) -> dict[int, Row]:
        """Return the rows with values from `first` through `last` (None: through the greatest)."""

    def after(self, number: int) -> dict[int, Row]:
        """Return the rows with higher numbers."""

    def numbered(self, number: int) -> Row | None:
        """Return the row with a number."""

    def last(self, suits: Callable[[Row], bool], index: str = "", until: Any = None) -> Row | None:
        """Return the newest row that suits, or the one with the greatest value up to `until`."""


class Wordy(Protocol):
    """A row with texts that take time to make."""

    def with_texts(self) -> Self:
        """Return the row with its texts."""


Worded = TypeVar("Worded", bound=Wordy)


class Books(Protocol):
    """Where the tables of one account are, and its journal."""

    account_number: str

    @property
    def is_writing(self) -> bool:
        """Return True if what is read may be taken back, because a transaction has begun."""

    def table(self, kind: Kind[Row]) -> Table[Row]:
        """Return one table."""

    def as_written(self, row: Worded) -> Worded:
        """Return a row with the texts that are written of it, which only a file needs."""

    def write(self) -> AbstractContextManager[None]:
        """Run one durable transaction; any error inside rolls back all of it."""

    def reading(self) -> AbstractContextManager[None]:
        """Let several queries see the same moment."""

    def note(self, kind: str, payload: object, at: datetime) -> None:
        """Append a record to the journal; a payload that takes time to make is given as a function."""

    def seal(self) -> None:
        """Make the journal durable before the transaction ends."""


def in_order(found: Mapping[int, Row]) -> list[Row]:
    """Return rows by their numbers."""
    return [found[number] for number in sorted(found)]
