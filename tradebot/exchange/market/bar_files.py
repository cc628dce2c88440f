"""Open the files of recorded bars. The exchange judges the bot, so it has its own reader and shares none with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.exchange.market.spec import MarketError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LONGEST_HEADER = 200


def require_readable(path: Path) -> None:
    """Raise MarketError unless a file is there and may be read."""
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise MarketError(f"{path}: no such file", "check the path of --bars") from error
    except OSError as error:
        hint = "name a file, CSV or Parquet, that you may read"
        raise MarketError(f"{path} can't be read: {error.strerror}", hint) from error


def require_columns(path: Path, names: Sequence[str], wanted: Sequence[str], hint: str) -> None:
    """Raise MarketError if one of the columns is missing."""
    missing = [name for name in wanted if name not in names]
    if missing:
        found = ", ".join(names)[:_LONGEST_HEADER]
        raise MarketError(f"{path}: no column {', '.join(missing)} (found {found})", hint)


@contextmanager
def opened_parquet(path: Path, expected: str) -> Iterator[tuple[DuckDBPyConnection, dict[str, str]]]:
    """Yield a connection and the types of a Parquet file's columns by name; raise MarketError if it can't be read."""
    try:
        import duckdb
    except ImportError as error:
        raise MarketError(f"{path}: reading Parquet needs the data extra", "pip install 'tradebot[data]'") from error
    try:
        with duckdb.connect() as connection:
            described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
            yield connection, {str(name): str(kind) for name, kind, *_ in described}
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise MarketError(f"{path}: not a complete Parquet file: {reason}", f"fetch it again; {expected}") from error
