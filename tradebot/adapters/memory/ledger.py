"""Store one account's money records in memory, for backtests and for tests of the core."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Generic, TypeVar

from tradebot.adapters.ledger.fills_and_cash import OLDEST_FIRST
from tradebot.adapters.ledger.ledger import LedgerStores
from tradebot.adapters.ledger.rows import StoredOrder
from tradebot.adapters.ledger.tables import KINDS, Index, LedgerTable, Row, TableKind, Worded
from tradebot.adapters.state.halt_switch import newer_halt
from tradebot.adapters.text.activity_types import meaning_if_any
from tradebot.model.account import CashMovement
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import TradingState, TradingStateRecord

Read = TypeVar("Read")


class MemoryTable(Generic[Row]):
    """The rows of one account, numbered in the order of writing."""

    def __init__(self, kind: TableKind[Row]) -> None:
        self._kind = kind
        self._key_of = kind.key_of
        self._only_appended = kind.is_numbered and not kind.key
        self._rows: dict[int, Row] = {}
        self._numbers: dict[Any, int] = {}
        self._indexes: dict[str, Sorted[Row] | Hashed[Row]] = {
            name: (Sorted if index.sorted else Hashed)(index) for name, index in kind.indexes.items()
        }
        self.newest = 0
        "The number of the last added row."
        self.changes: list[int] = []
        "The numbers of the rows changed since it was created or read, in that order."

    @property
    def version(self) -> int:
        """Return how often the table has changed since it was created or loaded."""
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
        """Return the rows for copying or pickling; the indexes are rebuilt from them."""
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

    def known_keys(self, keys: Collection[str]) -> frozenset[str]:
        return frozenset([key for key in keys if (key,) in self._numbers])

    def among(self, index: str, values: Collection[Any]) -> dict[int, Row]:
        keyed, rows = self._indexes[index], self._rows
        return {number: rows[number] for value in values for number in keyed.numbers(value)}

    def span(self, index: str, first: Any, last: Any = None) -> dict[int, Row]:
        rows = self._rows
        return {number: rows[number] for number in self._sorted_index(index).span(first, last)}

    def after(self, number: int) -> dict[int, Row]:
        if number == self.newest:
            return {}
        return {index: self._rows[index] for index in range(number + 1, self.newest + 1) if index in self._rows}

    def row_by_number(self, number: int) -> Row | None:
        return self._rows.get(number)

    def last(self, suits: Callable[[Row], bool], index: str = "", until: Any = None) -> Row | None:
        numbers = self._sorted_index(index).backward(until) if index else reversed(self._rows)
        return next((row for number in numbers if suits(row := self._rows[number])), None)

    def _sorted_index(self, index: str) -> "Sorted[Row]":
        keyed = self._indexes[index]
        assert isinstance(keyed, Sorted), f"{index} isn't sorted"
        return keyed


class Hashed(Generic[Row]):
    """An unsorted index: the numbers of rows by value."""

    def __init__(self, index: Index[Row]) -> None:
        self._of = index.of
        self._numbers: dict[Any, dict[int, None]] = defaultdict(dict)

    def add(self, number: int, row: Row) -> None:
        """Add a row to the index."""
        value = self._of(row)
        if value is not None:
            self._numbers[value][number] = None

    def remove(self, number: int, row: Row) -> None:
        """Remove a row from the index."""
        value = self._of(row)
        if value is not None:
            del self._numbers[value][number]

    def change(self, number: int, before: Row, row: Row) -> None:
        """Replace a row in the index, which may move it to another value."""
        if self._of(before) != self._of(row):
            self.remove(number, before)
            self.add(number, row)

    def numbers(self, value: Any) -> Collection[int]:
        """Return the numbers of the rows that contain this value."""
        return self._numbers.get(value, ())


class Sorted(Generic[Row]):
    """A sorted index: the numbers of rows, sorted by value."""

    def __init__(self, index: Index[Row]) -> None:
        self._of = index.of
        self._values: list[Any] = []
        self._numbers: list[int] = []

    def add(self, number: int, row: Row) -> None:
        """Add a row to the index, after the rows with the same value."""
        value = self._of(row)
        index = len(self._values) if self._values and self._values[-1] <= value else bisect_right(self._values, value)
        self._values.insert(index, value)
        self._numbers.insert(index, number)

    def remove(self, number: int, row: Row) -> None:
        """Remove a row from the index."""
        index = self._numbers.index(number, bisect_left(self._values, self._of(row)))
        del self._values[index], self._numbers[index]

    def change(self, number: int, before: Row, row: Row) -> None:
        """Replace a row in the index, which may move it to another value."""
        if self._of(before) != self._of(row):
            self.remove(number, before)
            self.add(number, row)

    def numbers(self, value: Any) -> Collection[int]:
        """Return the numbers of the rows that contain this value."""
        return self.span(value, value)

    def span(self, first: Any, last: Any) -> Collection[int]:
        """Return the numbers of the rows with values from `first` through `last`; if `last` is None, there is no upper
        limit.
        """
        end = len(self._values) if last is None else bisect_right(self._values, last)
        return self._numbers[bisect_left(self._values, first) : end]

    def backward(self, last: Any) -> Iterator[int]:
        """Yield the numbers of the rows with values up to `last`, greatest value first."""
        return (self._numbers[index] for index in range(bisect_right(self._values, last) - 1, -1, -1))


class TableCache:
    """Caches results read from a table until the table changes; a copied or unpickled cache starts empty."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, dict[Any, Any]]] = {}

    def __reduce__(self) -> tuple[type["TableCache"], tuple[()]]:
        return TableCache, ()

    def of(self, table: LedgerTable[Any], name: str, key: Hashable, read: Callable[[], Read]) -> Read:
        """Return the cached result of `read` for the same table, query `name` and `key`; call `read` if nothing is
        cached.
        """
        assert isinstance(table, MemoryTable), "only results from a table in memory can be cached"
        cached = self._read.get(name)
        if cached is None or cached[0] != table.version:
            cached = self._read[name] = table.version, {}
        answers: dict[Any, Read] = cached[1]
        if key not in answers:
            answers[key] = read()
        return answers[key]


BEGUN = TradingStateRecord(TradingState.ACTIVE, "init", "armed", None)
"""The initial state of in-memory books, which no file can halt."""


class MemoryStates:
    """Stores whether the bot may open positions, who decided that, and since when."""

    def __init__(self) -> None:
        self._states: list[TradingStateRecord] = [BEGUN]

    def trading_state(self) -> TradingStateRecord:
        return self._states[-1]

    def set_trading_state(self, new: TradingStateRecord, over: TradingStateRecord | None = None) -> None:
        before = self.trading_state()
        if over is not None and before != over:
            raise newer_halt()
        flattens = new.state is TradingState.REDUCE_ONLY and before.state is TradingState.FLATTEN
        self._states.append(replace(new, state=before.state) if flattens else new)

    def halts(self) -> Sequence[TradingStateRecord]:
        open_last = max(index for index, record in enumerate(self._states) if record.state is TradingState.ACTIVE)
        return tuple(self._states[open_last + 1 :])

    def trading_states(self) -> Sequence[TradingStateRecord]:
        """Return all states ever written, oldest first."""
        return tuple(self._states[1:])

    def armed(self) -> bool:
        # A halt disarms; ending it arms again.
        return self.trading_state().state is TradingState.ACTIVE


AT_ONCE = nullcontext()
TOTALS_APART = 200
"""How many fills, at least, lie between the two totals kept. A late fill is added to the older of them."""


class MemoryBooks:
    """Tables in memory, without a journal."""

    is_writing = False
    """Nothing is ever rolled back."""

    def __init__(self, account_number: str) -> None:
        self.account_number = account_number

    def table(self, kind: TableKind[Row]) -> MemoryTable[Row]:
        """Return the account's table of this kind."""
        return MemoryTable(kind)

    def as_written(self, row: Worded) -> Worded:
        """Return a row unchanged."""
        return row

    def write(self) -> AbstractContextManager[None]:
        """Return the context of one transaction; in memory, it needs neither a commit nor a rollback."""
        return AT_ONCE

    reading = write

    def note(self, kind: str, payload: object, at: datetime) -> None:
        """Do nothing: there is no journal."""

    def seal(self) -> None:
        """Do nothing: there is no journal."""


class MemoryLedger(LedgerStores, MemoryStates):
    """A ledger without a file; armed and ACTIVE from the start.

    Nothing here is durable: `lab.backtest.save_run` writes a finished run as an ordinary state folder.
    """

    def __init__(self, account_number: str) -> None:
        LedgerStores.__init__(self, MemoryBooks(account_number))
        MemoryStates.__init__(self)
        self._remembered = TableCache()
        self._chains = Chains()
        self._last_added = 0
        self._totals = self._newer = self._older = Totals()
        "The totals of all fills, and earlier ones to go back to for a late fill."
        self._filled_of: dict[str, Decimal] = defaultdict(Decimal)
        "The filled shares of each order, unsigned."

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        if not working or since is not None:
            return LedgerStores.orders(self, working=working, since=since)
        return self._remembered.of(self.tables.orders, "working", None, lambda: LedgerStores.orders(self, working=True))

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        orders = self.tables.orders
        assert isinstance(orders, MemoryTable), "the orders must be in a table in memory"
        return self._chains.of(orders, venue_ids, partial(LedgerStores.order_chains, self))

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        self.totals()
        return {venue_id: self._filled_of[venue_id] for venue_id in venue_ids if venue_id in self._filled_of}

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        return self._remembered.of(
            self.tables.intents, "recent", since, lambda: LedgerStores.recent_intents(self, since)
        )

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        read = partial(LedgerStores.unsettled_intents, self, since)
        return self._remembered.of(self.tables.intents, "unsettled", since, read)

    def totals(self) -> Totals:
        new = self.tables.fills.after(self._last_added)
        if new:
            self._last_added = max(new)
            for row in new.values():
                self._filled_of[row.owned.fill.venue_order_id] += row.owned.fill.quantity
            self._add(sorted((row.owned for row in new.values()), key=OLDEST_FIRST))
        return self._totals

    def _add(self, fills: Sequence[OwnedFill]) -> None:
        """Add fills; for one that sorts before others, go back to earlier totals first."""
        first = fills[0].fill.at
        if self._totals.last_at is None or self._totals.last_at <= first:
            self._totals = self._totals.after(fills)
        else:
            self._older = self._older if self._older.last_at and self._older.last_at <= first else Totals()
            self._totals = self._newer = self._older.after(self.fills()[self._older.count :])
        if self._totals.count - self._newer.count >= TOTALS_APART:
            self._older, self._newer = self._newer, self._totals

    def checkpoint_totals(self) -> None:
        """Do nothing: the totals are always available."""

    def cash_movements(self) -> Sequence[CashMovement]:
        return tuple(
            CashMovement(
                row.happened_at or row.at,
                row.amount,
                row.kind,
                row.origin,
                row.about,
                row.why,
                row.symbol,
                row.sub_kind,
                meaning_if_any(row.kind, row.sub_kind),
            )
            for row in self.tables.cash.after(0).values()
        )


MOST = 5_000
"""The most cached chains."""


class Chains:
    """Caches order chains read from a table; a copied or unpickled cache starts empty.

    A chain has an order and the orders that replaced it. It is read again after the row of any of these orders has
    changed.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._chains: dict[str, Sequence[Order]] = {}
        self._naming: dict[str, set[str]] = defaultdict(set)

    def __reduce__(self) -> tuple[type["Chains"], tuple[()]]:
        return Chains, ()

    def of(
        self,
        table: MemoryTable[StoredOrder],
        venue_ids: Collection[str],
        read: Callable[[Collection[str]], Mapping[str, Sequence[Order]]],
    ) -> Mapping[str, Sequence[Order]]:
        """Return the chain of each order whose row exists, by venue id; `read` reads the chains that aren't cached."""
        self._forget_changed(table)
        if unread := [row for row in venue_ids if row not in self._chains]:
            rows = read(unread)
            for row in unread:
                self._keep(row, rows.get(row, ()))
        return {row: chain for row in venue_ids if (chain := self._chains[row])}

    def _keep(self, venue_id: str, chain: Sequence[Order]) -> None:
        self._chains[venue_id] = chain
        for name in (venue_id, *(order.venue_id for order in chain), *(order.parent for order in chain)):
            if name:
                self._naming[name].add(venue_id)

    def _forget_changed(self, table: MemoryTable[StoredOrder]) -> None:
        changed, self._seen = table.changes[self._seen :], table.version
        rows = [table.row_by_number(number) for number in changed]
        if None in rows or len(self._chains) > MOST:
            self._chains.clear()
            self._naming.clear()
        for row in filter(None, rows):
            for name in (row.order.venue_id, row.order.replaced_by):
                for key in self._naming.pop(name, ()) if name else ():
                    self._chains.pop(key, None)
