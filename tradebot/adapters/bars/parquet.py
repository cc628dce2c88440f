"""Store bars as Parquet files by symbol, timeframe and year, with duckdb.

Each symbol's newest day stays in SQLite, as does everything that isn't a bar. So a new minute bar never causes a
Parquet file to be rewritten. Every older bar is in `bars/SYMBOL/TIMEFRAME-YEAR.parquet`; if a file's prices aren't
trade prices, its name includes the kind of price. SQLite's lock lets one process write at a time. If duckdb, which is
optional, isn't installed, a new folder stores its bars in SQLite alone.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tradebot.adapters.bars.store import COLUMNS, SPAN, TRADE, SqliteBars, StoredSpan, span_of
from tradebot.adapters.failpoint import around
from tradebot.adapters.state.cache_database import DamagedError
from tradebot.adapters.state.safe_open import create_draft, opened_plain, require_plain
from tradebot.adapters.state.state_folder import BARS, BARS_FOLDER, cannot_write, make_folder
from tradebot.adapters.text.extras import install
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import OperatorError
from tradebot.model.series import PriceKind
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Events

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DAY_S = 86_400

_LAST_S = 4_102_444_799

"""The end of 2099."""

_TABLE = (
    "CREATE OR REPLACE TEMP TABLE rows AS SELECT $1 AS symbol, $2 AS timeframe, unnest($3::BIGINT[]) AS start_s,"
    " unnest($4::DOUBLE[]) AS open, unnest($5::DOUBLE[]) AS high, unnest($6::DOUBLE[]) AS low,"
    " unnest($7::DOUBLE[]) AS close, unnest($8::DOUBLE[]) AS volume, unnest($9::VARCHAR[]) AS source, $10 AS price"
)

_QUIET: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

"""DuckDB's settings: no threads, because the files have only a few thousand rows, and no downloads."""

_OF = "symbol = ? AND timeframe = ? AND price = ?"

Key = tuple[str, str, PriceKind]

Row = tuple[int, float, float, float, float, float, str]


class ParquetBars(SqliteBars):
    """The bars of a state folder, in Parquet files next to one SQLite file."""

    def __init__(self, folder: Path, events: Events, at: datetime) -> None:
        self._folder = folder / BARS_FOLDER
        try:
            if not self._folder.is_dir():
                make_folder(self._folder)
        except OSError as error:
            raise cannot_write(folder, error) from error
        super().__init__(folder, events, at)

    def put(self, symbol: str, timeframe: str, bars: Sequence[RawBar], source: str, price: PriceKind = TRADE) -> int:
        if not bars:
            return 0
        with self._write():
            starts = [bar.start_s for bar in bars]
            old = {row[0]: row for row in self._in_files((symbol, timeframe, price), min(starts), max(starts))}
            rows = {bar.start_s: (*bar, source) for bar in bars}
            changed = [row for start_s, row in rows.items() if old.get(start_s) != row]
            new = self._insert(symbol, timeframe, price, changed)
            self._pour((symbol, timeframe, price))
        return new

    def get(self, symbol: str, timeframe: str, start_s: int, end_s: int, price: PriceKind = TRADE) -> Sequence[RawBar]:
        # Files that another process is moving may be read twice, but are never missed.
        newer = super().get(symbol, timeframe, start_s, end_s, price)
        with self._guard():
            older = [RawBar(*row[:6]) for row in self._in_files((symbol, timeframe, price), start_s, end_s)]
        if not older or not newer:
            return older or newer
        return sorted({bar.start_s: bar for bar in (*older, *newer)}.values())

    def spans(self) -> Sequence[StoredSpan]:
        paths = sorted(self._folder.glob("*/*.parquet"))
        # Files from before there were price kinds have no such column: they contain trades.
        rows = (
            "SELECT * REPLACE (coalesce(price, $2) AS price) FROM (SELECT NULL::VARCHAR AS price WHERE false"
            " UNION ALL BY NAME SELECT * FROM read_parquet($1, union_by_name = true))"
        )
        with self._guard():
            span_rows = self._query(paths, f"SELECT {SPAN} FROM ({rows}) GROUP BY ALL", TRADE)  # noqa: S608 -- constants
        joined: dict[tuple[str, str, str, str], list[StoredSpan]] = defaultdict(list)
        for span in (*map(span_of, span_rows), *super().spans()):
            joined[span.symbol, span.timeframe, span.price, span.source].append(span)
        return [
            replace(
                of[0],
                first_s=min(span.first_s for span in of),
                last_s=max(span.last_s for span in of),
                count=sum(span.count for span in of),
            )
            for _, of in sorted(joined.items())
        ]

    def _pour(self, of: Key) -> None:
        """Move all bars from before the newest bar's day into files, inside the transaction that stores them."""
        newest_s = self._newest_s(of)
        if newest_s is None:
            return
        before = (*of, newest_s - newest_s % DAY_S)
        by_year: dict[int, list[Row]] = defaultdict(list)
        rows = self._database.execute(f"SELECT {COLUMNS}, source FROM bars WHERE {_OF} AND start_s < ?", before)  # noqa: S608 -- constants
        for row in rows:
            by_year[_year(row[0])].append(row)
        for year, poured in by_year.items():
            self._merge(self._path_of(of, year), of, poured)
        self._database.execute(f"DELETE FROM bars WHERE {_OF} AND start_s < ?", before)  # noqa: S608 -- constants

    def _newest_s(self, of: Key) -> int | None:
        """Return the start of a series' newest bar, whose day is still in SQLite; None without bars."""
        ((newest_s,),) = self._database.execute(f"SELECT max(start_s) FROM bars WHERE {_OF}", of)  # noqa: S608 -- constants
        newest: int | None = newest_s
        return newest

    def _merge(self, path: Path, of: Key, rows: Sequence[Row]) -> None:
        symbol, timeframe, price = of
        self._duckdb.execute(_TABLE, [symbol, timeframe, *(list(each) for each in zip(*rows, strict=True)), price])
        if path.exists():
            self._query(
                [path],
                "INSERT INTO rows BY NAME SELECT old.* FROM read_parquet($1) AS old ANTI JOIN rows USING (start_s)",
            )
        try:
            require_plain(path)
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700)
            draft, descriptor = create_draft(path)
            os.close(descriptor)
            self._replace(draft, path)
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def _replace(self, draft: Path, path: Path) -> None:
        """Write the table of rows to a draft file and rename it to `path`; raise OSError if that fails."""
        from duckdb import Error

        try:
            path_text = str(draft).replace("'", "''")
            self._duckdb.execute(
                f"COPY (FROM rows ORDER BY start_s) TO '{path_text}' (FORMAT parquet, USE_TMP_FILE false)"
            )
            with around("parquet.replace"):
                draft.replace(path)
        except (Error, OSError) as error:
            with around("parquet.drop_draft"):
                draft.unlink(missing_ok=True)
            raise error if isinstance(error, OSError) else OSError(str(error)) from error

    def _in_files(self, of: Key, start_s: int, end_s: int) -> Sequence[Row]:
        """Return the rows in a series' files that start in a time range, oldest first."""
        newest_s = self._newest_s(of)
        if newest_s is not None and start_s >= newest_s - newest_s % DAY_S:
            return []
        paths = (self._path_of(of, year) for year in range(_year(start_s), _year(end_s) + 1))
        folder = self._folder / quote(of[0], safe="")
        there = set(os.listdir(folder)) if folder.is_dir() else ()
        query = f"SELECT {COLUMNS}, source FROM read_parquet($1) WHERE start_s BETWEEN $2 AND $3 ORDER BY start_s"  # noqa: S608 -- constants
        return self._query([path for path in paths if path.name in there], query, start_s, end_s)

    def _query(self, paths: Sequence[Path], query: str, *values: object) -> list[Any]:
        """Return a query's result. Raise DamagedError if a file can't be read, after moving it aside."""
        from duckdb import Error

        if not paths:
            return []
        try:
            return list(self._duckdb.execute(query, [[str(path) for path in paths], *values]).fetchall())
        except Error as error:
            damaged = next((path for path in paths if not self._readable(path)), None)
            if damaged is None:
                raise
            _move_aside(damaged)
            raise DamagedError(f"{damaged}: {error}") from error

    def _readable(self, path: Path) -> bool:
        from duckdb import Error

        query = f"SELECT count(({COLUMNS}, symbol, timeframe, source)) FROM read_parquet($1)"  # noqa: S608 -- constants
        try:
            with opened_plain(path):
                self._duckdb.execute(query, [str(path)]).fetchall()
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        except Error:
            return False
        return True

    def _path_of(self, of: Key, year: int) -> Path:
        symbol, timeframe, price = of
        name = timeframe if price is TRADE else f"{timeframe}-{price}"
        return self._folder / quote(symbol, safe="") / f"{name}-{year}.parquet"

    @cached_property
    def _duckdb(self) -> DuckDBPyConnection:
        from duckdb import connect

        return connect(":memory:", config=_QUIET)


def _year(second: int) -> int:
    return datetime.fromtimestamp(min(max(second, 0), _LAST_S), UTC).year


def _move_aside(path: Path) -> None:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    with around("parquet.set_aside"):
        path.replace(aside)


LIBRARY = "duckdb"


def open_bars(folder: Path, events: Events, at: datetime) -> SqliteBars:
    """Open the store of bars, creating it if missing; raise OperatorError if a needed library isn't installed.

    A folder keeps the type of store that it was created with.
    """
    kept_as_files = (folder / BARS_FOLDER).is_dir()
    installed = find_spec(LIBRARY) is not None
    if kept_as_files and not installed:
        raise OperatorError(
            f"The bars in {folder / BARS_FOLDER} are Parquet files, but {LIBRARY} isn't installed.",
            f"Install it: {install('data')}. Or fetch the bars again: "
            f"mv {folder / BARS_FOLDER} {folder / BARS_FOLDER}.aside",
        )
    if kept_as_files or (installed and not (folder / BARS).exists()):
        return ParquetBars(folder, events, at)
    return SqliteBars(folder, events, at)
