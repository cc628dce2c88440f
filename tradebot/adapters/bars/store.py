"""Store raw bars, corporate actions, and the periods requested from a source, in SQLite.

It is only a cache: a damaged file is moved aside, and needed bars are fetched again. The protocol of a source of bars
is defined here too.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from msgspec import Struct

from tradebot.adapters.state.cache_database import CacheDatabase, CacheStore
from tradebot.adapters.state.state_folder import BARS
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.event import EventKind
from tradebot.model.series import PriceKind
from tradebot.ports.stores import Events

SPLIT, DIVIDEND = "split", "dividend"


class CorporateAction(NamedTuple):
    """A split or dividend, in force from the ex-date's first trade.

    `amount` is how many shares each earlier share became, or the dividend in USD per share.
    """

    ex_date: date
    kind: str
    amount: float


class DelayedError(TemporaryError):
    """Raised once when the source turns out to provide only delayed bars; the source sets its `delay` before it raises
    this.
    """


class BarSource(Protocol):
    """A source of bars."""

    @property
    def name(self) -> str:
        """Return the name under which the source's bars are stored."""

    @property
    def delay(self) -> timedelta:
        """Return how long after its end a bar is available."""

    @property
    def timeframes(self) -> frozenset[str]:
        """Return the source's timeframes, which include minutes and days; others are merged from minutes.

        Its hourly and minute-based bars equal those merged from a session's minutes.
        """

    @property
    def refused_symbols(self) -> frozenset[str]:
        """Return the symbols that the source refused in the last call of `pages`."""

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Yield the raw bars of these symbols that start in a range, both ends inclusive, page by page.

        `price` is one of the venue's `Capabilities.bar_prices`. Raise TemporaryError, DelayedError, or OperatorError if
        a retry won't help.
        """

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Return the splits and dividends processed between two dates, inclusive, by symbol.

        Raise TemporaryError, or OperatorError if a retry won't help.
        """


MINUTES, DAYS = "1Min", "1Day"

STORED_ALWAYS = frozenset({MINUTES, DAYS})

"""The timeframes that every source has. Others are stored if the source has them, and merged from minutes otherwise."""

FILE = CacheDatabase(
    "bars",
    0x54424232,
    2,
    (
        """CREATE TABLE bars (
            symbol TEXT NOT NULL, timeframe TEXT NOT NULL, price TEXT NOT NULL, start_s INTEGER NOT NULL,
            open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL, volume REAL NOT NULL,
            source TEXT NOT NULL, PRIMARY KEY (symbol, timeframe, price, start_s)
        ) WITHOUT ROWID""",
        """CREATE TABLE asked (
            symbol TEXT NOT NULL, what TEXT NOT NULL, price TEXT NOT NULL, source TEXT NOT NULL,
            first_s INTEGER NOT NULL, last_s INTEGER NOT NULL, PRIMARY KEY (symbol, what, price, source, first_s)
        ) WITHOUT ROWID""",
        """CREATE TABLE actions (
            symbol TEXT NOT NULL, at_s INTEGER NOT NULL, kind TEXT NOT NULL, price REAL NOT NULL, volume REAL NOT NULL
        )""",
        "CREATE INDEX actions_by_symbol ON actions (symbol, at_s)",
    ),
)

SPAN = "symbol, timeframe, source, price, min(start_s), max(start_s), count(*)"

COLUMNS = "start_s, open, high, low, close, volume"

TRADE = PriceKind.TRADE

_OF_BARS = "symbol = ? AND timeframe = ? AND price = ? AND start_s BETWEEN ? AND ?"


class PriceStep(NamedTuple):
    """A split or dividend: the factors that adjust every price and every volume from before `at_s`.

    `kind` is "split" or "dividend"; `at_s` is midnight of the venue's day at the start of the ex-date.
    """

    at_s: int
    kind: str
    price: float
    volume: float


class StoredSpan(Struct, frozen=True):
    """The stored bars of one series from one source: the first start, the last, and how many."""

    symbol: str
    timeframe: str
    source: str
    first_s: int
    last_s: int
    count: int
    price: PriceKind = PriceKind.TRADE


class BarStore(Protocol):
    """A store of bars; SqliteBars documents each method."""

    def put(
        self, symbol: str, timeframe: str, bars: Sequence[RawBar], source: str, price: PriceKind = TRADE
    ) -> int: ...

    def version(self, symbol: str, timeframe: str, price: PriceKind = TRADE) -> object: ...

    def get(
        self, symbol: str, timeframe: str, start_s: int, end_s: int, price: PriceKind = TRADE
    ) -> Sequence[RawBar]: ...

    def spans(self) -> Sequence[StoredSpan]: ...

    def put_actions(self, symbol: str, actions: Sequence[PriceStep]) -> None: ...

    def actions(self, symbol: str) -> Sequence[PriceStep]: ...

    def put_asked(
        self, symbol: str, what: str, source: str, first_s: int, last_s: int, price: PriceKind = TRADE
    ) -> None: ...

    def asked_spans(
        self, symbol: str, what: str, source: str, price: PriceKind = TRADE
    ) -> Sequence[tuple[int, int]]: ...

    def close(self) -> None: ...


class LostBarsError(TemporaryError):
    """Raised after damaged bars were moved aside: the store is now empty, and the next call fetches what is needed."""


class SqliteBars(CacheStore):
    """The bars of a state folder, in one SQLite file.

    Every method raises LostBarsError if it had to start over because the store was damaged.
    """

    FILE = FILE
    STARTED_OVER = EventKind.BARS_BEGUN_ANEW
    OF_EARLIER_VERSION = EventKind.BARS_OF_EARLIER_VERSION

    def __init__(self, folder: Path, events: Events, at: datetime) -> None:
        super().__init__(folder / BARS, events, at)
        self._written = Counter[tuple[str, str, PriceKind]]()

    def _damage_error(self) -> TemporaryError:
        return LostBarsError(
            "The stored bars were damaged, so they were moved aside and a new file was started.", "Try again."
        )

    def put(self, symbol: str, timeframe: str, bars: Sequence[RawBar], source: str, price: PriceKind = TRADE) -> int:
        """Store bars, replacing those with the same start; return how many were new or changed."""
        with self._write():
            return self._insert(symbol, timeframe, price, [(*bar, source) for bar in bars])

    def version(self, symbol: str, timeframe: str, price: PriceKind = TRADE) -> object:
        """Return a value that changes as soon as these bars may have changed, in any process."""
        with self._guard():
            ((others,),) = self._database.execute("PRAGMA data_version")
            return others, self._written[symbol, timeframe, price]

    def get(self, symbol: str, timeframe: str, start_s: int, end_s: int, price: PriceKind = TRADE) -> Sequence[RawBar]:
        """Return the bars that start in a span, both ends inclusive, oldest first."""
        with self._guard():
            rows = self._database.execute(
                f"SELECT {COLUMNS} FROM bars WHERE {_OF_BARS} ORDER BY start_s",  # noqa: S608 -- constants
                (symbol, timeframe, price, start_s, end_s),
            )
            return list(map(RawBar._make, rows))

    def spans(self) -> Sequence[StoredSpan]:
        """Return the stored ranges, by symbol, timeframe, price and source."""
        with self._guard():
            rows = self._database.execute(
                f"SELECT {SPAN} FROM bars GROUP BY symbol, timeframe, price, source"  # noqa: S608 -- constants
                " ORDER BY symbol, timeframe, price, source"
            )
            return [span_of(row) for row in rows]

    def put_actions(self, symbol: str, actions: Sequence[PriceStep]) -> None:
        """Store a symbol's splits and dividends, replacing all of its earlier rows."""
        with self._write():
            self._database.execute("DELETE FROM actions WHERE symbol = ?", (symbol,))
            self._database.executemany(
                "INSERT INTO actions (symbol, at_s, kind, price, volume) VALUES (?, ?, ?, ?, ?)",
                [(symbol, *step) for step in actions],
            )

    def actions(self, symbol: str) -> Sequence[PriceStep]:
        """Return a symbol's splits and dividends, oldest first."""
        with self._guard():
            rows = self._database.execute(
                "SELECT at_s, kind, price, volume FROM actions WHERE symbol = ? ORDER BY at_s, kind", (symbol,)
            )
            return list(map(PriceStep._make, rows))

    def put_asked(
        self, symbol: str, what: str, source: str, first_s: int, last_s: int, price: PriceKind = TRADE
    ) -> None:
        """Record that a source has returned all its bars of a timeframe in a range, both ends inclusive."""
        with self._write():
            touching = (
                "symbol = ? AND what = ? AND price = ? AND source = ? AND first_s <= ? AND last_s >= ?",
                (symbol, what, price, source, last_s + 1, first_s - 1),
            )
            spans = self._database.execute(f"SELECT first_s, last_s FROM asked WHERE {touching[0]}", touching[1])  # noqa: S608 -- constants
            firsts, lasts = zip((first_s, last_s), *spans, strict=True)
            self._database.execute(f"DELETE FROM asked WHERE {touching[0]}", touching[1])  # noqa: S608 -- constants
            self._database.execute(
                "INSERT INTO asked (symbol, what, price, source, first_s, last_s) VALUES (?, ?, ?, ?, ?, ?)",
                (symbol, what, price, source, min(firsts), max(lasts)),
            )

    def asked_spans(self, symbol: str, what: str, source: str, price: PriceKind = TRADE) -> Sequence[tuple[int, int]]:
        """Return the ranges requested from a source, oldest first; they neither overlap nor touch."""
        with self._guard():
            rows = self._database.execute(
                "SELECT first_s, last_s FROM asked WHERE symbol = ? AND what = ? AND price = ? AND source = ?"
                " ORDER BY first_s",
                (symbol, what, price, source),
            )
            return list(rows)

    def _insert(self, symbol: str, timeframe: str, price: PriceKind, rows: Sequence[tuple[object, ...]]) -> int:
        before = self._database.total_changes
        self._database.executemany(
            "INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET open = excluded.open,"
            " high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,"
            " source = excluded.source WHERE (open, high, low, close, volume, source) IS NOT"
            " (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.source)",
            [(symbol, timeframe, price, *row) for row in rows],
        )
        changed = self._database.total_changes - before
        self._written[symbol, timeframe, price] += changed
        return changed


def span_of(row: tuple[str, str, str, str, int, int, int]) -> StoredSpan:
    """Parse a row of a query that selects the columns in SPAN."""
    symbol, timeframe, source, price, first_s, last_s, count = row
    return StoredSpan(symbol, timeframe, source, first_s, last_s, count, PriceKind(price))
