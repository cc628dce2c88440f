"""Read bars from CSV and Parquet files. A bad row is skipped and counted with its reason; nothing is stored here.

A file has the columns ts (or date), symbol, open, high, low, close and volume, in any order; others are ignored.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from tradebot.adapters.bars.store import DAYS
from tradebot.adapters.text.extras import install
from tradebot.auditing.bar_findings import RawBar
from tradebot.auditing.bar_rules import MINUTE_S, bad_price, day_over_s
from tradebot.errors import OperatorError, word
from tradebot.model.sentences import SYMBOL_PATTERN, pluralize
from tradebot.model.venue_day import VenueDay

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

    `values` are in the order of COLUMNS; a row with fewer fields than the header has none, and one with more has all of
    them.
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
        if len(fields) == len(header):
            yield Fields(reader.line_num, fields[time], [fields[each] for each in places])
        else:
            yield Fields(reader.line_num, "", () if is_short else fields)
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
        raise OperatorError(f"{path}: reading Parquet needs the data extra", install("data")) from error
    try:
        with duckdb.connect(config=_OFFLINE) as connection:
            named = [_without_wildcards(path)]
            described = connection.execute(f"DESCRIBE SELECT * {_FROM}", named).fetchall()
            kinds = {str(name).lower(): (str(name), str(kind)) for name, kind, *_ in described}
            names = _columns(path, list(kinds))
            columns = ", ".join(_quote_name(kinds[name][0]) for name in names[1:])
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


def _quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _time(name: str, kind: str) -> str:
    """Return how to select a time: one with a zone as seconds since 1970 UTC, one without as text."""
    return (
        f"epoch_us({_quote_name(name)}) / 1e6"
        if "TIME ZONE" in kind.upper()
        else f"CAST({_quote_name(name)} AS VARCHAR)"
    )


MOST_ROWS = 3_000_000
"""The most rows of one import, each of which takes half a kilobyte while it runs."""
FIRST_DAY = date(1970, 1, 2)
HIGHEST_PRICE, MOST_SHARES = 1e7, 1e12
_FILE = 1 << 40
_SYMBOL = re.compile(SYMBOL_PATTERN)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)


NOT_MIDNIGHT = "not a date: its time isn't midnight"


class ImportOptions(Struct, frozen=True):
    """The user's declarations about the files, and the venue's day.

    `timeframe` is 1Min or 1Day. `ends` is True if minute bars are stamped at their end. `zone` applies to times without
    a zone. Bars that weren't complete at `now` are bad rows.
    """

    timeframe: str
    ends: bool
    zone: ZoneInfo | None
    now: datetime
    venue: VenueDay


class BadRow(Struct, frozen=True):
    """A row that was skipped: its CSV line or Parquet row, the symbol and time if they could be read, and why."""

    file: str
    row: int
    symbol: str | None
    at: datetime | None
    reason: str


class FilesRead(Struct):
    """The content of some files: the good bars of each symbol by start, where each was read, and the bad rows.

    A place is the file's number, times 2^40, plus the row.
    """

    files: list[str] = field(default_factory=list)
    rows: int = 0
    bars: dict[str, dict[int, RawBar]] = field(default_factory=dict)
    places: dict[str, dict[int, int]] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)

    def of(self, symbol: str) -> list[RawBar]:
        """Return a symbol's bars, oldest first."""
        return sorted(self.bars[symbol].values())

    def add(self, symbol: str, bar: RawBar, row: int) -> None:
        """Add a bar of the newest file; raise _BadRowError if there is one with the same start."""
        bars = self.bars.setdefault(symbol, {})
        first = bars.get(bar.start_s)
        if first is not None:
            reason = "duplicate" if first == bar else "duplicate with other numbers"
            raise _BadRowError(reason, symbol, bar.start_s)
        bars[bar.start_s] = bar
        self.places.setdefault(symbol, {})[bar.start_s] = (len(self.files) - 1) * _FILE + row

    def drop(self, symbol: str, start_s: int, reason: str) -> None:
        del self.bars[symbol][start_s]
        file, row = divmod(self.places[symbol].pop(start_s), _FILE)
        self.bad.append(BadRow(self.files[file], row, symbol, datetime.fromtimestamp(start_s, UTC), reason))

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(row.reason for row in self.bad))


class _BadRowError(ValueError):
    """Raised for a row that isn't a valid bar; the message is the reason under which it is counted."""

    def __init__(self, reason: str, symbol: str | None = None, start_s: int | None = None) -> None:
        super().__init__(reason)
        self.symbol = symbol
        self.at = None if start_s is None else datetime.fromtimestamp(start_s, UTC)


def read_files(paths: Iterable[Path], how: ImportOptions) -> FilesRead:
    """Read all rows of some files; raise OperatorError for a file that can't be read, or that is too large.

    Of two rows for the same bar the first counts.
    """
    read, start_of = FilesRead(), _starts(how)
    for path in paths:
        read.files.append(str(path))
        for fields in rows_of(path):
            read.rows += 1
            if read.rows > MOST_ROWS:
                raise OperatorError(f"there are more than {MOST_ROWS:,} rows", "import fewer at a time")
            try:
                read.add(*_bar(fields, how, start_of), fields.number)
            except _BadRowError as error:
                read.bad.append(BadRow(str(path), fields.number, error.symbol, error.at, str(error)))
    _drop_minutes(read)
    return read


def _drop_minutes(read: FilesRead) -> None:
    """Drop the days of symbols of which more rows have another time than midnight: all are minutes."""
    timed = Counter(row.symbol for row in read.bad if row.reason == NOT_MIDNIGHT)
    for symbol in [symbol for symbol, bars in read.bars.items() if timed[symbol] > len(bars)]:
        for start_s in sorted(read.bars[symbol]):
            read.drop(symbol, start_s, "a minute at midnight, among others of no date")


def _bar(fields: Fields, how: ImportOptions, start_of: Callable[[object], int]) -> tuple[str, RawBar]:
    if len(fields.values) != len(COLUMNS):
        raise _BadRowError("too many fields" if fields.values else "too few fields")
    symbol = _symbol(fields.values[0])
    try:
        start_s = start_of(fields.at)
    except _BadRowError as error:
        raise _BadRowError(str(error), symbol) from error
    bar = RawBar(start_s, *map(_number, fields.values[1:]))
    reason = _reason(bar, how)
    if reason:
        raise _BadRowError(reason, symbol, start_s)
    return symbol, bar


def _reason(bar: RawBar, how: ImportOptions) -> str | None:
    reason = bad_price(bar)
    if reason:
        return reason
    if bar.high > HIGHEST_PRICE or bar.volume > MOST_SHARES:
        return "price or volume out of range"
    over_s = day_over_s(bar.start_s, how.venue) if how.timeframe == DAYS else bar.start_s + MINUTE_S
    return None if over_s <= how.now.timestamp() else "not complete yet"


def _symbol(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not _SYMBOL.fullmatch(text):
        raise _BadRowError("bad symbol", word(str(value)) if value is not None else None)
    return text


def _number(value: object) -> float:
    """Return a number, or NaN for anything else."""
    if isinstance(value, float):
        return value
    text = str(value)
    try:
        # Python would also read 1_000, and digits of other scripts.
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _starts(how: ImportOptions) -> Callable[[object], int]:
    """Return what reads a time as the start of its bar; many rows have the same time, so answers are kept."""
    read = _day_of if how.timeframe == DAYS else _minute_of
    return lru_cache(maxsize=1 << 18)(partial(read, how=how))


def _minute_of(at: object, how: ImportOptions) -> int:
    seconds = _instant(at, how.zone, how.venue)
    if seconds % MINUTE_S:
        raise _BadRowError("not on a minute")
    start_s = int(seconds) - MINUTE_S * how.ends
    if start_s < how.venue.begins_s(FIRST_DAY):
        raise _BadRowError("time out of range")
    return start_s


def _day_of(at: object, how: ImportOptions) -> int:
    """Return the venue's midnight on a row's date, which is written alone or as a midnight of the venue or UTC."""
    naive = _parse_time_text(at) if isinstance(at, str) else None
    if naive is not None and naive.tzinfo is None:
        day = _date_at_midnight(naive)
    else:
        moment = datetime.fromtimestamp(_instant(at, None, how.venue), UTC)
        day = _date_at_midnight(how.venue.local(moment)) or _date_at_midnight(moment)
    if day is None:
        raise _BadRowError(NOT_MIDNIGHT)
    if day < FIRST_DAY:
        raise _BadRowError("time out of range")
    return how.venue.begins_s(day)


def _date_at_midnight(moment: datetime) -> date | None:
    return moment.date() if moment.time() == time() else None


def _instant(at: object, zone: ZoneInfo | None, venue: VenueDay) -> float:
    """Return a time in seconds since 1970 UTC; raise OperatorError if it names no zone and none was declared."""
    if isinstance(at, int | float):
        return at
    moment = _parse_time_text(at)
    if moment.tzinfo is None:
        if zone is None:
            raise OperatorError(
                f"the time {word(str(at))} names no zone", f"say which zone the files use: --zone {venue.zone}"
            )
        moment = _in_zone(moment, zone)
    return moment.timestamp()


def _parse_time_text(at: object) -> datetime:
    text = at.strip() if isinstance(at, str) else ""
    if not _TIME.fullmatch(text):
        raise _BadRowError("unreadable time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _BadRowError("unreadable time") from error
    if not FIRST_DAY.year <= moment.year < date.max.year:
        raise _BadRowError("time out of range")
    return moment


def _in_zone(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time with its zone, unless clocks skip or repeat it."""
    local = moment.replace(tzinfo=zone)
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        raise _BadRowError("time is skipped or repeated when clocks change")
    return local


def span(read: FilesRead, venue: VenueDay) -> tuple[date, date]:
    """Return the first and the last date of the good bars at the venue; raise OperatorError if there are none."""
    starts = [start_s for bars in read.bars.values() for start_s in bars]
    if not starts:
        why = ", ".join(f"{reason} ({pluralize(count, 'row')})" for reason, count in sorted(read.reasons.items()))
        raise OperatorError(f"there is no usable bar in these files: {why or 'they hold no rows'}", EXPECTED)
    first, last = (venue.date_of(datetime.fromtimestamp(at_s, UTC)) for at_s in (min(starts), max(starts)))
    return first - timedelta(days=7), last + timedelta(days=7)
