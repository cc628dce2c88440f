"""Open a file of price bars in any known shape, and yield its rows in one common form.

If a file can be read in two ways, for instance because 01/02/2024 may be in January or in February, the error names
both ways and the option that decides. Callers check the rows.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from pathlib import Path
from shlex import quote
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn, TextIO
from zoneinfo import ZoneInfo

from papervenue.market.bar_shapes import (
    EVERY_COLUMN,
    ISO,
    MARKS,
    SHAPES,
    SYMBOLS,
    TIME_COLUMNS,
    AmbiguousTimeError,
    DecimalMark,
    Shape,
    TimeForm,
    decimal_mark,
    instant_us,
    plain_number,
    seconds_of_day,
    step_s,
    symbol_in_name,
    time_in,
)
from papervenue.market.futures import contract_named
from papervenue.market.minute_rows import AMBIGUOUS_TIME, BadRowError
from papervenue.market.spec import AS_FOUND, MarketError, Reading
from papervenue.times import DAY, NEW_YORK, to_datetime

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXPECTED = "docs/BARS.md lists the columns of every shape that can be read"
_SAMPLE = 2_000
"""How many rows show the form of times, how far apart bars are, and the decimal mark that a publisher always writes."""
_LONGEST_HEADER = 200
_ENDS_IN_ZONE = re.compile(r":\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)\s*$")
_TOO_MANY = ("",) * 8
_BATCH = 50_000
_KEPT = 1 << 16
_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

Raw = tuple[int, Sequence[object]]
"""A row's number in its file, and its fields: the time, the symbol, open, high, low, close and volume.

The time is ISO text, engine time, or the BadRowError that says what is wrong with it. A row with too few fields has no
fields here, and a row with too many has more than these seven.
"""


class UnclearFileError(MarketError):
    """Raised for a file that can be read in several ways.

    The error has the row in doubt, the option that decides, and the option's possible values.
    """

    def __init__(self, path: Path, row: int, why: str, option: str, values: Sequence[str]) -> None:
        hint = f"write {' or '.join(f'--bars-as {option}={value}' for value in values)}"
        super().__init__(f"{path}, {'row' if is_parquet(path) else 'line'} {row}: {why}", hint)
        self.option = option
        self.values = tuple(values)


def is_parquet(path: Path) -> bool:
    """Return True if a file's name ends like that of a Parquet file; every other file is read as text."""
    return path.suffix.lower() in (".parquet", ".pq")


_ENDINGS = frozenset({".csv", ".txt", ".zip", ".parquet", ".pq"})


def files_in(path: Path) -> list[Path]:
    """Return the files of a market: a single file, or those files of a folder that are named like price files."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS and not file.name.startswith("."))
    if not files:
        raise MarketError(f"{path}: the folder holds no price files", "their names end in .csv, .txt, .zip or .parquet")
    return files


def only_stamp(path: Path, reading: Reading) -> str | None:
    """Return whether the publisher of a market's files stamps the start or the end of a minute.

    Returns None if that isn't known for all files, or if they differ.
    """
    stamps = {open_bars(file, reading).shape.stamp for file in files_in(path)}
    return stamps.pop() if len(stamps) == 1 else None


ALIKE = 0.8
"""How similar, from 0 to 1, an existing name has to be to a typed one; that both end in .csv says little."""


def _nearest_file(path: Path) -> str:
    """Return what to type for a file that doesn't exist: the most similar name, or a command that lists the files."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return "check the path of --bars"
    nearest = get_close_matches(path.name, names, 1, ALIKE)
    return f"did you mean {path.parent / nearest[0]}?" if nearest else f"ls {quote(str(path.parent))} shows the files"


def require_readable(path: Path) -> None:
    """Raise MarketError unless a file exists and is readable."""
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise MarketError(f"{path}: no such file", _nearest_file(path)) from error
    except OSError as error:
        hint = "name a file, CSV or Parquet, that you may read"
        raise MarketError(f"{path} can't be read: {error.strerror}", hint) from error


class BarFile(NamedTuple):
    """A file of bars whose shape has been recognized.

    `time_columns` has the indexes of the time columns. `columns` has those of the symbol (-1 if there is none) and of
    the numbers. `symbol` is the symbol of a file without a symbol column. `daily` is True if most bars are stamped with
    a date or with midnight. `step_s` is the shortest time between two bars.
    """

    path: Path
    shape: Shape
    form: TimeForm
    names: tuple[str, ...]
    time_columns: tuple[int, ...]
    columns: tuple[int, ...]
    separator: str
    day: date | None
    symbol: str | None
    first_row: int
    decimal: str = "."
    zone: ZoneInfo | None = None
    daily: bool = False
    step_s: int | None = None

    @property
    def has_symbols(self) -> bool:
        """Return True if the file has a column of symbols."""
        return self.columns[0] >= 0

    @property
    def is_plain(self) -> bool:
        """Return True if the fields need no conversion, because the file already has this program's own shape."""
        own = self.shape is SHAPES[0] and self.form is ISO and self.has_symbols
        return own and self.decimal == "." and (self.daily or self.zone is None)

    def data_rows(self) -> Iterator[Raw]:
        """Yield the rows as they are in the file, without the header."""
        return _data_rows(self.path, self.separator, bare=bool(self.shape.bare))

    def rows(self) -> Iterator[Raw]:
        """Yield the rows; raise MarketError if the file can't be read, or if it ends in the middle of a row."""
        width, has_short_end, number = len(self.names), False, 0
        convert = itemgetter(*self.time_columns, *self.columns) if self.is_plain else self._converter()
        for number, fields in self.data_rows():
            has_short_end = len(fields) < width
            if len(fields) == width:
                yield number, convert(fields)
            else:
                yield number, () if has_short_end else _TOO_MANY
        if has_short_end:
            raise MarketError(f"{self.path}: it ends in the middle of line {number}", "get the whole file again")

    def require_zone(self) -> None:
        """Raise UnclearFileError if the file's first time has no time zone and the zone isn't known otherwise."""
        number, fields = next(self.rows(), (0, ()))
        time = fields[0] if fields else None
        if self.zone is None and isinstance(time, str) and not _ENDS_IN_ZONE.search(time):
            why = f"the time {time} names no zone"
            raise UnclearFileError(self.path, number, why, "zone", (NEW_YORK.key, "UTC"))

    def _converter(self) -> Callable[[Sequence[object]], Sequence[object]]:
        """Return a function that converts a row's fields into one form and caches times, since many rows share one."""
        read_time, times, (name, *prices, volume) = lru_cache(_KEPT)(self._time), self.time_columns, self.columns
        decimal, places = self.decimal, self.shape.places

        def convert(fields: Sequence[object]) -> Sequence[object]:
            symbol = self.symbol if name < 0 else fields[name]
            if self.shape.suffix and isinstance(symbol, str):
                symbol = symbol.strip().removesuffix(self.shape.suffix)
            numbers = [plain_number(fields[price], decimal, places) for price in prices]
            return read_time(_join_fields(fields, times)), symbol, *numbers, plain_number(fields[volume], decimal)

        return convert

    def _time(self, text: object) -> object:
        time = time_in(self.form, text, self.day)
        if time is None:
            return BadRowError("unreadable time")
        if isinstance(time, int) or self.daily or self.zone is None:
            return time
        try:
            return instant_us(time, self.zone)
        except AmbiguousTimeError:
            return BadRowError(AMBIGUOUS_TIME)
        except (ValueError, OverflowError):
            return BadRowError("unreadable time")


def _join_fields(fields: Sequence[object], columns: Sequence[int]) -> object:
    if len(columns) == 1:
        return fields[columns[0]]
    return " ".join(str(fields[column]).strip() for column in columns)


def open_bars(path: Path, reading: Reading = AS_FOUND) -> BarFile:
    """Recognize the shape of a file.

    Raise MarketError if no known shape fits. Raise UnclearFileError if the file can be read in several ways, so that an
    option has to decide.
    """
    require_readable(path)
    separator, first = _first_row(path)
    names = [str(name).strip().lower() for name in first]
    file = _only_reading(_recognize(path, names, separator, reading))
    file = file._replace(decimal=_decimal(file, reading), zone=_zone(file, reading))
    if not file.has_symbols and file.symbol is None:
        why = "nothing names the symbol, neither a column nor the file's name"
        raise UnclearFileError(path, file.first_row, why, "symbol", ("SYMBOL",))
    return _with_volumes(_with_times(file))


def _first_row(path: Path) -> tuple[str, Sequence[object]]:
    """Return the separator of a file, and its first row or the names of its columns."""
    if is_parquet(path):
        with opened_parquet(path) as (_, types):
            return ",", [*types]
    with _opened_text(path) as file:
        line = next((line for line in file if line.strip()), "")
    if not line:
        raise MarketError(f"{path}: the file is empty", EXPECTED)
    unquoted = re.sub(r'"[^"]*"?', "", line)
    separator = max(",;\t|", key=unquoted.count)
    with _as_text_errors(path):
        return separator, next(csv.reader([line], delimiter=separator, strict=True))


def _recognize(path: Path, names: list[str], separator: str, reading: Reading) -> list[BarFile]:
    """Return the file read as each of the most specific shapes that match; raise MarketError if none does."""
    shapes = _chosen_shape(reading.shape) or [s for s in SHAPES if not s.bare and not s.missing(names)]
    shapes = shapes or [s for s in SHAPES if len(s.bare) == len(names)]
    files = [_bar_file(path, shape, names, separator, reading) for shape in shapes]
    fitting = _fitting_forms(files) or ([] if shapes and shapes[0].bare and not reading.shape else files[:1])
    if not fitting:
        closest = min((s for s in SHAPES if not s.bare), key=lambda s: len(s.missing(names)))
        raise MarketError(_lack(path, closest, names), EXPECTED)
    most = max(len(file.shape.more) for file in fitting)
    return [file for file in fitting if len(file.shape.more) == most]


def _chosen_shape(name: str | None) -> list[Shape]:
    if name is not None and all(shape.name != name for shape in SHAPES):
        raise MarketError(f"there is no shape {name[:40]!r}", f"use {', '.join(shape.name for shape in SHAPES)}")
    return [shape for shape in SHAPES if shape.name == name]


def _lack(path: Path, shape: Shape, names: Sequence[str]) -> str:
    return f"{path}: no column {', '.join(shape.missing(names))} (found {', '.join(names)[:_LONGEST_HEADER]})"


def _fitting_forms(files: Sequence[BarFile]) -> list[BarFile]:
    """Return the shapes that can read the first readable time, each with its time form."""
    rows = files[0].data_rows() if files else iter(())
    for _, fields in islice(rows, _SAMPLE):
        fitting = [file._replace(form=form) for file in files for form in _forms_of(file, fields)[:1]]
        if fitting:
            return fitting
    return []


def _forms_of(file: BarFile, fields: Sequence[object]) -> list[TimeForm]:
    """Return the forms of the file's shape that can read the time of a row."""
    if len(fields) != len(file.names):
        return []
    time = _join_fields(fields, file.time_columns)
    # Parquet can hold an instant, which needs no form; shapes that write ISO texts accept it.
    forms = [form for form in file.shape.forms if form is ISO] if isinstance(time, int) else file.shape.forms
    return [form for form in forms if time_in(form, time, file.day) is not None]


def _places(columns: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    return tuple(names.index(column) for column in columns)


def _bar_file(path: Path, shape: Shape, names: Sequence[str], separator: str, reading: Reading) -> BarFile:
    own = shape.bare or tuple(names)
    if len(own) != len(names):
        why = f"{path}: it has {len(names)} columns, but files in the shape {shape.name} have {len(own)}"
        raise MarketError(why, EXPECTED)
    if shape.missing(own):
        raise MarketError(_lack(path, shape, own), EXPECTED)
    times = shape.time_columns(own)
    twice = [name for name in (*times, *shape.values, *SYMBOLS) if own.count(name) > 1]
    if twice:
        raise MarketError(f"{path}: two columns named {', '.join(twice)}", "leave one of them out")
    column = next((own.index(name) for name in SYMBOLS if name in own), -1)
    stem = _stem(path)
    symbol = None if column >= 0 else reading.symbol or contract_named(stem) or symbol_in_name(shape, stem)
    first = 1 if shape.bare or is_parquet(path) else 2
    columns = (column, *_places(shape.values, own))
    return BarFile(
        path, shape, shape.forms[0], own, _places(times, own), columns, separator, _day_in_name(path), symbol, first
    )


def _only_reading(files: Sequence[BarFile]) -> BarFile:
    """Return the file in the only shape that reads all of its times; raise UnclearFileError if several do.

    Reading ends at the first row whose time leaves only one possible shape.
    """
    rows = files[0].data_rows() if len(files) > 1 else iter(())
    first: tuple[int, Sequence[object]] | None = None
    for number, fields in rows:
        fitting = [file for file in files if file.form in _forms_of(file, fields)]
        if fitting:
            first, files = first or (number, fields), fitting
        if len(files) == 1:
            break
    if len(files) > 1 and first:
        _refuse_dates(files, *first)
    return files[0]


def _refuse_dates(files: Sequence[BarFile], row: int, fields: Sequence[object]) -> NoReturn:
    text = _join_fields(fields, files[0].time_columns)
    readings = [f"{_day_words(time_in(file.form, text, file.day))} as {file.shape.name} writes it" for file in files]
    why = f"every date can be read in {len(files)} ways: {text} is {', or '.join(readings)}"
    raise UnclearFileError(files[0].path, row, why, "shape", [file.shape.name for file in files])


def _day_words(time: str | int | None) -> str:
    day = datetime.fromisoformat(str(time))
    return f"{day:%B} {day.day}, {day.year}"


def _decimal(file: BarFile, reading: Reading) -> str:
    if reading.decimal is not None:
        if reading.decimal not in MARKS:
            raise MarketError(f"there is no decimal mark {reading.decimal[:40]!r}", "use point or comma")
        return MARKS[reading.decimal]
    if is_parquet(file.path):
        return file.shape.decimal
    usual = file.shape.decimal if file.separator == file.shape.separator else None
    whole = (row for row in file.data_rows() if len(row[1]) == len(file.names))
    rows = ((number, [fields[column] for column in file.columns[1:]]) for number, fields in whole)
    mark = decimal_mark(rows, usual, _SAMPLE)
    if mark.decimal is None:
        _refuse_mark(file, mark)
    return mark.decimal


def _refuse_mark(file: BarFile, mark: DecimalMark) -> NoReturn:
    point, comma = (plain_number(mark.text, decimal) for decimal in (".", ","))
    why = f"{mark.text} is {point} with a decimal point, or {comma} with a decimal comma"
    raise UnclearFileError(file.path, mark.row, why, "decimal", [*MARKS])


def _zone(file: BarFile, reading: Reading) -> ZoneInfo | None:
    name = reading.zone or file.shape.zone
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, OSError, ValueError) as error:
        raise MarketError(f"there is no time zone {name!r}", "name one such as America/New_York or UTC") from error


def _with_times(file: BarFile) -> BarFile:
    """Return a file with the properties of its first times: whether bars are daily, and their shortest distance."""
    moments: list[int] = []
    days = 0
    for _, fields in islice(file._replace(daily=True).rows(), _SAMPLE):
        moment = _moment_us(fields[0], file.zone) if fields else None
        if moment is not None:
            moments.append(moment[0])
            days += moment[1]
    if not moments:
        return file._replace(daily=file.names[file.time_columns[0]] == "date")
    return file._replace(daily=2 * days > len(moments), step_s=step_s(moments))


def _moment_us(time: object, zone: ZoneInfo | None) -> tuple[int, bool] | None:
    """Return a time as an instant, and whether it is midnight in its own zone, New York or UTC; None if unreadable."""
    if isinstance(time, int):
        return time, not time % DAY or not seconds_of_day(to_datetime(time).astimezone(NEW_YORK))
    if not isinstance(time, str) or not ISO.pattern.fullmatch(time.strip()):
        return None
    try:
        moment = datetime.fromisoformat(time.strip())
        instant = instant_us(time.strip(), zone or NEW_YORK)
    except (ValueError, OverflowError):
        return None
    if not seconds_of_day(moment) or moment.tzinfo is None:
        return instant, not seconds_of_day(moment)
    return _moment_us(instant, None)


def _with_volumes(file: BarFile) -> BarFile:
    """Return a file that reads the spare column of volumes if it has one and the main column holds only zeros."""
    spare = file.shape.spare_volume
    if spare is None or any(fields and fields[-1] not in ("0", "0.0", "") for _, fields in file.rows()):
        return file
    return file._replace(columns=(*file.columns[:-1], file.names.index(spare)))


def _data_rows(path: Path, separator: str, *, bare: bool) -> Iterator[Raw]:
    """Yield the number and the fields of each row below the header."""
    if is_parquet(path):
        yield from _parquet_rows(path)
        return
    with _opened_text(path) as file:
        reader = csv.reader(file, delimiter=separator, strict=True)
        rows = filter(None, reader)
        if not bare:
            next(rows, None)
        for fields in rows:
            yield reader.line_num, fields


def _stem(path: Path) -> str:
    """Return a file's name without its ending; for a zip, the name of the only file in it."""
    if path.suffix.lower() != ".zip":
        return path.stem
    with _as_text_errors(path), zipfile.ZipFile(path) as archive:
        return Path(_only_name(path, archive)).stem


def _only_name(path: Path, archive: zipfile.ZipFile) -> str:
    files = [entry for entry in archive.namelist() if not entry.endswith("/")]
    if len(files) != 1:
        raise MarketError(f"{path}: it holds {len(files)} files", "unzip it, and name the folder")
    return files[0]


def _day_in_name(path: Path) -> date | None:
    match = re.match(r"(\d{4})(\d\d)(\d\d)_", _stem(path))
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


@contextmanager
def _as_text_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnicodeDecodeError, csv.Error) as error:
        hint = f"save it as UTF-8 text; {EXPECTED}; a Parquet file's name ends in .parquet"
        raise MarketError(f"{path}: not a CSV file: {error}", hint) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise MarketError(f"{path}: not a complete zip file: {error}", "get it again") from error


@contextmanager
def _opened_text(path: Path) -> Iterator[TextIO]:
    with _as_text_errors(path), ExitStack() as opened:
        packed: BinaryIO | IO[bytes] = opened.enter_context(path.open("rb"))
        if path.suffix.lower() == ".zip":
            archive = opened.enter_context(zipfile.ZipFile(packed))
            packed = opened.enter_context(archive.open(_only_name(path, archive)))
        # Spreadsheets put a byte order mark before the header; this encoding reads files with and without it.
        yield io.TextIOWrapper(packed, encoding="utf-8-sig", newline="")


@contextmanager
def opened_parquet(path: Path) -> Iterator[tuple[DuckDBPyConnection, Mapping[str, str]]]:
    """Yield a connection and the types of a Parquet file's columns by name; raise MarketError if it can't be read."""
    try:
        import duckdb
    except ImportError as error:
        raise MarketError(
            f"{path}: reading Parquet needs the data extra", "make extras NAME=data, or: pip install duckdb"
        ) from error
    try:
        with duckdb.connect(config=_OFFLINE) as connection:
            described = connection.execute(f"DESCRIBE SELECT * {FROM_PARQUET}", [only_file(path)]).fetchall()
            yield connection, {str(name): str(kind) for name, kind, *_ in described}
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise MarketError(f"{path}: not a complete Parquet file: {reason}", f"get it again; {EXPECTED}") from error


FROM_PARQUET = "FROM read_parquet(?, hive_partitioning = false)"


def only_file(path: Path) -> str:
    """Return a path that matches only this file.

    In the name of a Parquet file, *, ? and [ would otherwise match other files too.
    """
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


def _parquet_rows(path: Path) -> Iterator[Raw]:
    """Yield the rows of a Parquet file; columns that no shape has are empty."""
    with opened_parquet(path) as (connection, types):
        columns = ", ".join(map(_select_column, types, types.values()))
        answer = connection.execute(f"SELECT {columns} {FROM_PARQUET}", [only_file(path)])
        number = 0
        while rows := answer.fetchmany(_BATCH):
            yield from enumerate(rows, start=number + 1)
            number += len(rows)


def _select_column(name: str, kind: str) -> str:
    """Return how to select a column: a time with a zone as microseconds since 1970 UTC, one without as text."""
    quoted = '"' + name.replace('"', '""') + '"'
    if name.lower() not in EVERY_COLUMN:
        return "NULL"
    if name.lower() not in TIME_COLUMNS:
        return quoted
    return f"epoch_us({quoted})" if "TIME ZONE" in kind.upper() else f"CAST({quoted} AS VARCHAR)"
