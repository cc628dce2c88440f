"""Read bars from files, in any layout in the embedded exchange's table of data publishers. Nothing is stored here.

A bad row is skipped and counted with its reason.
"""

import math
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from papervenue.market.bar_files import EXPECTED, BarFile, UnclearFileError, open_bars
from papervenue.market.minute_rows import BadRowError
from papervenue.market.spec import MarketError, Reading
from tradebot.adapters.bars.store import DAYS, MINUTES
from tradebot.auditing.bar_findings import RawBar
from tradebot.auditing.bar_rules import MINUTE_S, bad_price, day_over_s
from tradebot.errors import OperatorError, word
from tradebot.model.sentences import SYMBOL_PATTERN, pluralize
from tradebot.model.venue_day import VenueDay

MOST_ROWS = 3_000_000
"""The most rows of one import; each takes half a kilobyte of memory."""
FIRST_DAY = date(1970, 1, 2)
FIRST_S, LAST_S = (int(datetime(year, 1, 2, 12, tzinfo=UTC).timestamp()) for year in (1970, 9998))
COLUMNS = ("ts", "symbol", "open", "high", "low", "close", "volume")
HIGHEST_PRICE, MOST_SHARES = 1e7, 1e12
_FILE = 1 << 40
NEW_YORK = ZoneInfo("America/New_York")
_SYMBOL = re.compile(SYMBOL_PATTERN)
_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)


NOT_MIDNIGHT = "expected a date, but its time isn't midnight"


class ImportOptions(Struct, frozen=True):
    """A user's options for importing bar files, and the venue's day.

    If an option is None, its value is read from the file or follows from the publisher's layout. `timeframe` is 1Min or
    1Day; `stamp` says whether minute bars are dated by their start or their end. Bars that weren't complete at `now`
    are bad rows. `files` and `options` are the command line as typed, for suggesting the next command.
    """

    timeframe: str | None
    stamp: str | None
    now: datetime
    venue: VenueDay
    shape: str | None = None
    zone: str | None = None
    decimal: str | None = None
    symbol: str | None = None
    files: str = "FILE"
    options: str = ""

    @property
    def reading(self) -> Reading:
        return Reading(self.shape, self.zone, self.decimal, self.symbol)


class SymbolSource(StrEnum):
    """Where the symbols of a file's bars come from: a column, the --symbol option, or the file's name."""

    COLUMN = "column"
    OPTION = "option"
    NAME = "name"


class FileUnderstood(Struct, frozen=True):
    """How a file was read: the name of its layout, and what the layout or the options say about the bars.

    `times` is an example of the times in the file. `zone` is None if these times state their offset or are dates,
    `symbol` is None if the file has a column of symbols, and `stamp` is None for daily bars.
    """

    file: str
    shape: str
    publisher: str
    timeframe: str
    times: str
    stamp: str | None
    zone: str | None
    symbol: str | None
    symbol_from: SymbolSource
    decimal: str


class BadRow(Struct, frozen=True):
    """A skipped row: its CSV line or Parquet row, the symbol and time if they could be read, and the reason."""

    file: str
    timeframe: str
    row: int
    symbol: str | None
    at: datetime | None
    reason: str


class BarRead(Struct, frozen=True):
    """One bar as read from a file; `local_start` is its start, as a time or date in New York."""

    symbol: str
    timeframe: str
    start: datetime
    local_start: str
    open: float
    high: float
    low: float
    close: float
    volume: float


class FilesRead(Struct):
    """What was read from the files: each symbol's good bars by start time, the row that each bar came from, and the bad
    rows.

    A row is stored as the file's number times 2^40, plus the row's number.
    """

    files: list[FileUnderstood] = field(default_factory=list)
    rows: int = 0
    bars: dict[str, dict[int, RawBar]] = field(default_factory=dict)
    places: dict[str, dict[int, int]] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)

    def of(self, symbol: str) -> list[RawBar]:
        """Return a symbol's bars, oldest first."""
        return sorted(self.bars[symbol].values())

    def first_bars(self, most: int) -> list[BarRead]:
        """Return up to `most` bars: the first symbol's oldest bars, then the next symbols' bars if the first has
        fewer.
        """
        bars = ((symbol, bar) for symbol in self.bars for bar in self.of(symbol)[:most])
        return [self._as_read(symbol, bar) for symbol, bar in islice(bars, most)]

    def _as_read(self, symbol: str, bar: RawBar) -> BarRead:
        start, timeframe = datetime.fromtimestamp(bar.start_s, UTC), self.files[0].timeframe
        local = f"{start.astimezone(NEW_YORK):{'%Y-%m-%d' if timeframe == DAYS else '%Y-%m-%d %H:%M'}}"
        return BarRead(symbol, timeframe, start, local, *bar[1:])

    def add(self, symbol: str, bar: RawBar, row: int) -> None:
        """Add a bar of the file being read; raise _BadRowError if there is already one with the same start."""
        bars = self.bars.setdefault(symbol, {})
        first = bars.get(bar.start_s)
        if first is not None:
            reason = "duplicate" if first == bar else "same time as an earlier row, with different numbers"
            raise _BadRowError(reason, symbol, bar.start_s)
        bars[bar.start_s] = bar
        self.places.setdefault(symbol, {})[bar.start_s] = (len(self.files) - 1) * _FILE + row

    def drop(self, symbol: str, start_s: int, reason: str) -> None:
        del self.bars[symbol][start_s]
        file, row = divmod(self.places[symbol].pop(start_s), _FILE)
        at = datetime.fromtimestamp(start_s, UTC)
        self.bad.append(BadRow(self.files[file].file, self.files[file].timeframe, row, symbol, at, reason))

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(row.reason for row in self.bad))


class _BadRowError(ValueError):
    """Raised for a row without a valid bar; the message is the reason under which it is counted."""

    def __init__(self, reason: str, symbol: str | None = None, start_s: int | None = None) -> None:
        super().__init__(reason)
        self.symbol = symbol
        self.at = None if start_s is None else datetime.fromtimestamp(start_s, UTC)


class RecognizedFile(NamedTuple):
    """A file, and how to read its bars."""

    file: BarFile
    understood: FileUnderstood


def recognize(paths: Sequence[Path], how: ImportOptions) -> list[RecognizedFile]:
    """Determine how to read each file; raise OperatorError for an unknown layout or a missing option."""
    recognized = []
    for path in paths:
        with _next_command(path, how):
            recognized.append(_recognize_file(path, how))
    if (how.stamp or how.zone) and all(each.understood.timeframe == DAYS for each in recognized):
        raise OperatorError(DATE_ALONE, "leave these options out")
    return recognized


def _recognize_file(path: Path, how: ImportOptions) -> RecognizedFile:
    file = open_bars(path, how.reading)
    if file.has_symbols and how.symbol:
        raise OperatorError(f"{path} has a column of symbols, so --symbol has no effect", "leave it out")
    timeframe, stamp = how.timeframe or _timeframe(file, how), None
    if timeframe == MINUTES:
        stamp = how.stamp or file.shape.stamp or _refuse_stamp(file)
    file = file._replace(daily=timeframe == DAYS)
    source = SymbolSource.COLUMN if file.has_symbols else SymbolSource.OPTION if how.symbol else SymbolSource.NAME
    understood = FileUnderstood(
        str(path), file.shape.name, file.shape.publisher, timeframe, file.form.example, stamp,
        file.zone.key if file.zone and timeframe == MINUTES else None, file.symbol, source, file.decimal,
    )  # fmt: skip
    return RecognizedFile(file, understood)


def read_files(
    recognized: Sequence[RecognizedFile], how: ImportOptions, progress: Callable[[int, int], None] = lambda *_: None
) -> FilesRead:
    """Read all rows of some files of one timeframe; raise OperatorError for a file that can't be read or is too large.

    Of several rows with the same symbol and start, the first is used, and the others are bad rows.
    """
    read = FilesRead()
    for done, (file, understood) in enumerate(recognized):
        progress(done, len(recognized))
        read.files.append(understood)
        with _next_command(file.path, how):
            _add_rows(read, file, understood, how)
    _drop_minutes(read)
    return read


DATE_ALONE = "daily bars are stamped with a date alone, so --stamp and --zone have no effect"


def _timeframe(file: BarFile, how: ImportOptions) -> str:
    if file.daily:
        return DAYS
    if file.step_s == MINUTE_S:
        return MINUTES
    if file.step_s is None:
        why = "all of its times are the same, so the length of its bars is unknown"
        raise UnclearFileError(file.path, file.first_row, why, "timeframe", (MINUTES, DAYS))
    apart = f"{file.step_s} seconds" if file.step_s < MINUTE_S else pluralize(file.step_s // MINUTE_S, "minute")
    raise OperatorError(
        f"{file.path}: its closest bars are {apart} apart, but only {MINUTES} and {DAYS} bars are stored",
        "import minute bars: tradebot computes longer bars from them. If these are minute bars with gaps, run"
        f" tradebot bars import {how.files}{how.options} --timeframe {MINUTES}",
    )


def _refuse_stamp(file: BarFile) -> str:
    time = next((fields[0] for _, fields in file.rows() if fields), "")
    why = (
        f"say which end of a minute bar its time is: if a bar begins at {_clock(time)}, add --stamp start; if"
        " it ends then, add --stamp end"
    )
    raise UnclearFileError(file.path, file.first_row, why, "stamp", ("start", "end"))


def _clock(time: object) -> str:
    if isinstance(time, int):
        return f"{datetime.fromtimestamp(time / 1e6, NEW_YORK):%Y-%m-%d %H:%M}"
    return word(str(time))


@contextmanager
def _next_command(path: Path, how: ImportOptions) -> Iterator[None]:
    """Convert the exchange's errors about a file to ours, with the next command to type."""
    try:
        yield
    except UnclearFileError as error:
        options = [f"--{error.option} {value}" for value in error.values]
        # In a folder, each file may have its own symbol.
        files = shlex.quote(str(path)) if error.option == "symbol" else how.files
        more = f", or with {' or '.join(options[1:])}" if options[1:] else ""
        raise OperatorError(error.message, f"tradebot bars import {files}{how.options} {options[0]}{more}") from error
    except MarketError as error:
        named = f"; to name one: tradebot bars import {how.files}{how.options} --shape NAME" if not how.shape else ""
        hint = error.hint + named if error.hint == EXPECTED else error.hint.replace(" of --bars", "")
        raise OperatorError(error.message, hint) from error


def _add_rows(read: FilesRead, file: BarFile, understood: FileUnderstood, how: ImportOptions) -> None:
    start_of = _starts(file, understood, how)
    for number, fields in file.rows():
        read.rows += 1
        if read.rows > MOST_ROWS:
            raise OperatorError(f"there are more than {MOST_ROWS:,} rows", "import fewer at a time")
        try:
            read.add(*_bar(fields, understood.timeframe, how, start_of), number)
        except _BadRowError as error:
            read.bad.append(BadRow(str(file.path), understood.timeframe, number, error.symbol, error.at, str(error)))


def _drop_minutes(read: FilesRead) -> None:
    """Drop the days of symbols with mostly intraday rows; such rows are minute bars, not daily ones."""
    timed = Counter(row.symbol for row in read.bad if row.reason == NOT_MIDNIGHT)
    for symbol in [symbol for symbol, bars in read.bars.items() if timed[symbol] > len(bars)]:
        for start_s in sorted(read.bars[symbol]):
            read.drop(symbol, start_s, "not a daily bar: most rows of its symbol aren't at midnight")


def _bar(
    fields: Sequence[object], timeframe: str, how: ImportOptions, start_of: Callable[[object], int]
) -> tuple[str, RawBar]:
    if len(fields) != len(COLUMNS):
        raise _BadRowError("too many fields" if fields else "too few fields")
    at, name, *numbers = fields
    symbol = _symbol(name)
    try:
        start_s = start_of(at)
    except (_BadRowError, BadRowError) as error:
        raise _BadRowError(str(error), symbol) from error
    bar = RawBar(start_s, *map(_number, numbers))
    reason = _reason(bar, timeframe, how)
    if reason:
        raise _BadRowError(reason, symbol, start_s)
    return symbol, bar


def _reason(bar: RawBar, timeframe: str, how: ImportOptions) -> str | None:
    reason = bad_price(bar)
    if reason:
        return reason
    if bar.high > HIGHEST_PRICE or bar.volume > MOST_SHARES:
        return "price or volume out of range"
    over_s = day_over_s(bar.start_s, how.venue) if timeframe == DAYS else bar.start_s + MINUTE_S
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
        # Python's int and float would also accept 1_000 and digits of other scripts.
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _starts(file: BarFile, understood: FileUnderstood, how: ImportOptions) -> Callable[[object], int]:
    """Return a function that converts a time to its bar's start, with a cache, because many rows share a time."""
    if understood.timeframe == DAYS:
        return lru_cache(maxsize=1 << 18)(partial(_day_of, venue=how.venue))
    return lru_cache(maxsize=1 << 18)(partial(_minute_of, file=file, ends=understood.stamp == "end"))


def _minute_of(at: object, file: BarFile, *, ends: bool) -> int:
    seconds = _instant(at, file)
    if seconds % MINUTE_S:
        raise _BadRowError("not on a minute")
    start_s = int(seconds) - MINUTE_S * ends
    if not FIRST_S <= start_s < LAST_S:
        raise _BadRowError("time out of range")
    return start_s


def _day_of(at: object, venue: VenueDay) -> int:
    """Return the venue's midnight on a row's date; the row has the date alone, or midnight at the venue or in UTC."""
    naive = _parse_time_text(at) if isinstance(at, str) else None
    if naive is not None and naive.tzinfo is None:
        day = _date_at_midnight(naive)
    else:
        moment = datetime.fromtimestamp(_instant(at), UTC)
        day = _date_at_midnight(venue.local(moment)) or _date_at_midnight(moment)
    if day is None:
        raise _BadRowError(NOT_MIDNIGHT)
    if day < FIRST_DAY:
        raise _BadRowError("time out of range")
    return venue.begins_s(day)


def _date_at_midnight(moment: datetime) -> date | None:
    return moment.date() if moment.time() == time() else None


def _instant(at: object, file: BarFile | None = None) -> float:
    """Return a time in seconds since 1970 UTC; raise UnclearFileError if its time zone is unknown."""
    if isinstance(at, BadRowError):
        raise at
    if isinstance(at, int):
        if not FIRST_S <= at / 1e6 < LAST_S:
            raise _BadRowError("time out of range")
        return at / 1e6
    moment = _parse_time_text(at)
    if moment.tzinfo is None and file is not None:
        in_utc = f"{moment.replace(tzinfo=UTC).astimezone(NEW_YORK):%Y-%m-%d %H:%M}"
        why = f"the time {word(str(at))} has no time zone. If that is UTC, it is {in_utc} in New York"
        raise UnclearFileError(file.path, file.first_row, why, "zone", ("America/New_York", "UTC"))
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


def span(read: FilesRead, venue: VenueDay) -> tuple[date, date]:
    """Return the venue dates of the first and the last good bar, widened by 7 days on both sides.

    Raise OperatorError if no bar is good.
    """
    starts = [start_s for bars in read.bars.values() for start_s in bars]
    if not starts:
        why = ", ".join(f"{reason} ({pluralize(count, 'row')})" for reason, count in sorted(read.reasons.items()))
        location = (
            f"; the first is row {read.bad[0].row} of {read.bad[0].file}" if read.bad else f": {read.files[0].file}"
        )
        raise OperatorError(f"no usable bar in these files: {why or 'they have no rows'}{location}", EXPECTED)
    first, last = (venue.date_of(datetime.fromtimestamp(at_s, UTC)) for at_s in (min(starts), max(starts)))
    return first - timedelta(days=7), last + timedelta(days=7)
