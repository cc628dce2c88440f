"""Read the rows of CSV and Parquet files that hold bars, without judging them.

A file has the columns ts (or date), symbol, open, high, low, close and volume, in any order; others are ignored.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from tradebot.errors import OperatorError, word

TIMES = ("ts", "date")
COLUMNS = ("symbol", "open", "high", "low", "close", "volume")
EXPECTED = f"the columns are ts or date, {', '.join(COLUMNS)}"
_BATCH = 50_000
_FROM = "FROM read_parquet(?, hive_partitioning = false)"
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class Fields(NamedTuple):
    """One row: its CSV line or Parquet row, its time as text or seconds since 1970 UTC, and the other columns.

    `values` are in the order of COLUMNS, and empty if the row is too short.
    """

    number: int
    at: object
    values: Sequence[object]


def is_parquet(path: Path) -> bool:
    """Return True if a file is named as Parquet; every other file is read as CSV."""
    return path.suffix.lower() == ".parquet"


def rows_of(path: Path) -> Iterator[Fields]:
    """Yield the rows of a file; raise OperatorError if it can't be read, or if it ends in the middle of a row."""
    try:
        path.open("rb").close()
    except OSError as error:
        hint = "name CSV or Parquet files that you may read"
        raise OperatorError(f"{path} can't be read: {error.strerror}", hint) from error
    return _parquet_rows(path) if is_parquet(path) else _csv_rows(path)


def _csv_rows(path: Path) -> Iterator[Fields]:
    try:
        # Spreadsheets put a byte order mark before the header; this encoding reads files with and without it.
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from _whole_rows(path, file)
    except (UnicodeDecodeError, csv.Error) as error:
        hint = f"save it as UTF-8 text; {EXPECTED}; a Parquet file's name ends in .parquet"
        raise OperatorError(f"{path} is not a CSV file: {error}", hint) from error


def _whole_rows(path: Path, file: TextIO) -> Iterator[Fields]:
    reader = csv.reader(file, strict=True)
    header = next(reader, None)
    if header is None:
        raise OperatorError(f"{path} is empty", EXPECTED)
    names = [name.strip().lower() for name in header]
    time, *places = (names.index(name) for name in _columns(path, names))
    is_short = False
    for fields in filter(None, reader):
        is_short = len(fields) < len(header)
        yield Fields(reader.line_num, *(("", ()) if is_short else (fields[time], [fields[each] for each in places])))
    if is_short:
        raise OperatorError(f"{path} ends in the middle of line {reader.line_num}", "get the whole file again")


def _columns(path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns to read, the time first; raise OperatorError unless each is there once."""
    time = next((name for name in TIMES if name in names), TIMES[0])
    wanted = (time, *COLUMNS)
    missing = [name for name in wanted if name not in names]
    if missing:
        there = ", ".join(map(word, names[:20]))
        raise OperatorError(f"{path} has no column {', '.join(missing)}; it has {there}", EXPECTED)
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise OperatorError(f"{path} has two columns named {', '.join(twice)}", "leave one of them out")
    return wanted


def _parquet_rows(path: Path) -> Iterator[Fields]:
    try:
        import duckdb
    except ImportError as error:
        raise OperatorError(f"{path}: reading Parquet needs the data extra", "pip install 'tradebot[data]'") from error
    try:
        with duckdb.connect(config=_OFFLINE) as connection:
            named = [_without_wildcards(path)]
            described = connection.execute(f"DESCRIBE SELECT * {_FROM}", named).fetchall()
            kinds = {str(name).lower(): (str(name), str(kind)) for name, kind, *_ in described}
            names = _columns(path, list(kinds))
            columns = ", ".join(_quoted(kinds[name][0]) for name in names[1:])
            answer = connection.execute(f"SELECT {_time(*kinds[names[0]])}, {columns} {_FROM}", named)
            batches = iter(lambda: answer.fetchmany(_BATCH), [])
            for number, (at, *values) in enumerate(chain.from_iterable(batches), start=1):
                yield Fields(number, at, values)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise OperatorError(f"{path} is not a complete Parquet file: {reason}", f"get it again; {EXPECTED}") from error


def _without_wildcards(path: Path) -> str:
    """Return a path that means this file alone: in names of Parquet files, *, ? and [ match other files."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _time(name: str, kind: str) -> str:
    """Return how to select a time: one with a zone as seconds since 1970 UTC, one without as text."""
    return f"epoch_us({_quoted(name)}) / 1e6" if "TIME ZONE" in kind.upper() else f"CAST({_quoted(name)} AS VARCHAR)"
