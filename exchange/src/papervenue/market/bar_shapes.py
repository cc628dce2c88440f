"""List the shapes of the price files that publishers and programs write, and parse their times and numbers.

A row of the table says how to recognize a shape: by the names of its columns or, without a header, by its first row. It
also says what the file itself doesn't: the time zone, whether bars are stamped with the start or the end of their
minute, and what to divide prices by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from papervenue.times import from_datetime

_CLOCK = (
    r"(?:[ T,]+(?P<H>\d{1,2}):?(?P<M>\d\d)(?::?(?P<S>\d\d)(?P<f>\.\d+)?)?"
    r"(?: ?(?P<p>[AP]M))?(?: ?(?:GMT)?(?P<z>[+-]\d{4}))?)?"
)
_YEAR, _MONTH, _DAY = r"(?P<y>(?:19|20)\d\d)", r"(?P<m>0?[1-9]|1[0-2])", r"(?P<d>0?[1-9]|[12]\d|3[01])"
_SCALES = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))
"""The largest epoch in seconds, milliseconds and microseconds, each with the microseconds in its unit.

Larger ones are nanoseconds. From 1973 to 5138 the units don't overlap.
"""


class TimeForm(NamedTuple):
    """A time format: an example for people, and the pattern that texts in this format match."""

    example: str
    pattern: re.Pattern[str]


def _form(example: str, pattern: str) -> TimeForm:
    return TimeForm(example, re.compile(pattern, re.ASCII | re.IGNORECASE))


ISO = _form("2026-11-13 09:30", r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?")
EPOCH = _form("1794580200000", r"\d{9,19}(?:\.\d+)?")
COMPACT = _form("20261113 093000", rf"{_YEAR}(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01]){_CLOCK}")
MONTH_FIRST = _form("11/13/2026 09:30", rf"{_MONTH}/{_DAY}/{_YEAR}{_CLOCK}")
DAY_FIRST = _form("13/11/2026 09:30", rf"{_DAY}/{_MONTH}/{_YEAR}{_CLOCK}")
DOTTED = _form("13.11.2026 09:30", rf"{_DAY}\.{_MONTH}\.{_YEAR}{_CLOCK}")
DOTTED_YEAR_FIRST = _form("2026.11.13 09:30", rf"{_YEAR}\.{_MONTH}\.{_DAY}{_CLOCK}")
SINCE_MIDNIGHT = _form("34200000", r"\d{1,8}")

_OHLC, _VOLUME = ("open", "high", "low", "close"), ("volume",)
SYMBOLS = ("symbol", "ticker", "<ticker>")
"""The names of the column with the symbol, which any shape may have."""
_NEW_YORK, _UTC = "America/New_York", "UTC"


class Shape(NamedTuple):
    """One row of the table.

    `time` names the time column; alternatives are separated by |, and a date column and a time column by +. `values`
    are the columns for open, high, low, close and volume. `more` are other columns that distinguish this shape from
    similar ones. For a shape without a header, `bare` has the names of its columns. `zone` applies to times without a
    zone, and `stamp` says whether bars are stamped with the start or the end of their minute. Prices are divided by ten
    to the power of `places`. `separator` and `decimal` are the characters that the publisher uses. `suffix` is removed
    from symbols. `spare_volume` is a column to use if the volume is always 0.
    """

    name: str
    publisher: str
    time: str
    forms: tuple[TimeForm, ...]
    values: tuple[str, ...] = (*_OHLC, *_VOLUME)
    more: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    zone: str | None = None
    stamp: str | None = None
    places: int = 0
    separator: str = ","
    decimal: str = "."
    suffix: str = ""
    spare_volume: str | None = None
    named_by: str = ""
    """A pattern of the file's name, whose first group is the symbol in any case."""

    def time_columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the time columns in a file: the first alternative of which all columns exist, or ()."""
        for alternative in self.time.split("|"):
            columns = tuple(alternative.split("+"))
            if all(column in names for column in columns):
                return columns
        return ()

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return the columns of this shape that a file lacks."""
        lacks = [] if self.time_columns(names) else [self.time.replace("|", " or ").replace("+", ", ")]
        return lacks + [column for column in (*self.values, *self.more) if column not in names]


_LEAN_NAME = r"(?:\d{8}_)?([A-Za-z.]+?)(?:_.*)?"
_IN_ANGLES = ("<open>", "<high>", "<low>", "<close>")
_BINANCE = ("open_time", *_OHLC, "volume", "close_time", "quote_volume", "count", "buy_volume", "buy_quote", "ignore")

# fmt: off
SHAPES = (
    Shape("tradebot", "this program", "ts|date", (ISO, EPOCH, COMPACT)),
    Shape("excel-us", "Excel in the US", "ts|date", (MONTH_FIRST,)),
    Shape("excel-uk", "Excel in Britain", "ts|date", (DAY_FIRST,)),
    Shape("excel-de", "Excel in Germany", "ts|date", (DOTTED,), separator=";", decimal=","),
    Shape("yahoo", "Yahoo Finance", "date", (ISO,), more=("adj close",)),
    Shape("yfinance", "yfinance, intraday", "datetime", (ISO,), stamp="start"),
    Shape("nasdaq", "Nasdaq's website", "date", (MONTH_FIRST,), ("open", "high", "low", "close/last", "volume")),
    Shape("alpaca", "Alpaca's data frame", "timestamp", (ISO,), more=("trade_count", "vwap"), stamp="start"),
    Shape("ib", "ib_async and ib_insync", "date", (ISO,), more=("average", "barcount"), stamp="start"),
    Shape("tradingview", "TradingView", "time", (ISO, EPOCH), stamp="start"),
    Shape("firstrate", "FirstRate", "timestamp", (ISO,), zone=_NEW_YORK, stamp="start"),
    Shape("firstrate-bare", "FirstRate, no header", "timestamp", (ISO,), bare=("timestamp", *_OHLC, "volume"),
          zone=_NEW_YORK, stamp="start"),
    Shape("dukascopy", "Dukascopy", "gmt time", (DOTTED,), zone=_UTC, stamp="start"),
    Shape("stooq", "Stooq", "<date>+<time>", (COMPACT,), (*_IN_ANGLES, "<vol>"), ("<per>",), suffix=".US"),
    Shape("metatrader", "MetaTrader 5", "<date>+<time>|<date>", (DOTTED_YEAR_FIRST,), (*_IN_ANGLES, "<vol>"),
          ("<tickvol>",), stamp="start", separator="\t", spare_volume="<tickvol>"),
    Shape("binance", "Binance", "open_time", (EPOCH,), more=("close_time",), zone=_UTC, stamp="start"),
    Shape("binance-bare", "Binance, no header", "open_time", (EPOCH,), bare=_BINANCE, zone=_UTC, stamp="start"),
    Shape("kraken", "Kraken OHLCVT", "time", (EPOCH,), bare=("time", *_OHLC, "volume", "count"), zone=_UTC,
          stamp="start"),
    Shape("kibot", "Kibot", "date+time", (MONTH_FIRST,), bare=("date", "time", *_OHLC, "volume"), zone=_NEW_YORK,
          stamp="start"),
    Shape("kibot-daily", "Kibot, daily", "date", (MONTH_FIRST,), bare=("date", *_OHLC, "volume")),
    Shape("day-first", "no header, day first", "date+time", (DAY_FIRST,), bare=("date", "time", *_OHLC, "volume")),
    Shape("day-first-daily", "no header, day first", "date", (DAY_FIRST,), bare=("date", *_OHLC, "volume")),
    Shape("lean", "QuantConnect's Lean", "time", (SINCE_MIDNIGHT,), bare=("time", *_OHLC, "volume"), zone=_NEW_YORK,
          stamp="start", places=4, named_by=_LEAN_NAME),
    Shape("lean-daily", "Lean, daily", "date", (COMPACT,), bare=("date", *_OHLC, "volume"), places=4,
          named_by=_LEAN_NAME),
)
# fmt: on

EVERY_COLUMN = frozenset(
    column
    for shape in SHAPES
    for column in (*SYMBOLS, *re.split(r"[|+]", shape.time), *shape.values, *shape.more, shape.spare_volume or "")
)
TIME_COLUMNS = frozenset(column for shape in SHAPES for column in re.split(r"[|+]", shape.time))


def time_in(form: TimeForm, text: object, day: date | None) -> str | int | None:
    """Return a time as ISO text or, if its format gives an instant, as engine time.

    Return None if the text doesn't have this format. `day` is the date of a file whose times count from midnight.
    """
    if isinstance(text, int):
        return text
    text = text.strip() if isinstance(text, str) else ""
    match = form.pattern.fullmatch(text)
    if match is None:
        return None
    if form is ISO:
        return text
    if form is EPOCH:
        return _epoch_us(text)
    if form is SINCE_MIDNIGHT:
        spent = timedelta(milliseconds=int(text))
        return None if day is None or spent >= timedelta(days=1) else str(datetime.combine(day, time()) + spent)
    return _iso_text(match)


def _epoch_us(text: str) -> int:
    whole, _, fraction = text.partition(".")
    number = int(whole)
    for limit, scale in _SCALES:
        if number < limit:
            return number * scale + int(Decimal(f"0.{fraction or 0}") * scale)
    return number // 1000


def _iso_text(match: re.Match[str]) -> str | None:
    parts = match.groupdict()
    written = f"{parts['y']}-{int(parts['m']):02}-{int(parts['d']):02}"
    if parts["H"] is None:
        return written
    hour = int(parts["H"])
    if parts["p"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts["p"].upper() == "PM" else 0)
    return f"{written} {hour:02}:{parts['M']}:{parts['S'] or '00'}{parts['f'] or ''}{parts['z'] or ''}"


class AmbiguousTimeError(ValueError):
    """Raised for a local time that clocks skip or repeat."""


def instant_us(text: str, zone: ZoneInfo) -> int:
    """Parse ISO text into engine time; text without a time zone is a time in `zone`.

    Raises AmbiguousTimeError for a local time that clocks skip or repeat, and ValueError for other text.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return from_datetime(moment)
    local = moment.replace(tzinfo=zone)
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        raise AmbiguousTimeError
    return from_datetime(local)


_CURRENCY = str.maketrans("", "", "$€£ \u00a0\u202f")
_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII),
    ",": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?", re.ASCII),
}
NOT_A_NUMBER = "?"
MARKS = {"point": ".", "comma": ","}


def plain_number(value: object, decimal: str, places: int = 0) -> object:
    """Return a number with a decimal point, but without currency signs and thousands separators.

    It is divided by ten to the power of `places`. A value that is a number already is only divided.
    """
    if isinstance(value, str) and not (decimal == "." and value.replace(".", "", 1).isdigit()):
        text, other = value.translate(_CURRENCY), "." if decimal == "," else ","
        if other in text:
            text = text.replace(other, "") if _GROUPED[decimal].fullmatch(text) else NOT_A_NUMBER
        value = text.replace(",", ".")
    if not places:
        return value
    try:
        return str(Decimal(str(value)).scaleb(-places))
    except InvalidOperation:
        return NOT_A_NUMBER


class DecimalMark(NamedTuple):
    """The decimal mark of a file; it is None if the numbers can be read either way, such as that in row `row`."""

    decimal: str | None
    row: int = 0
    text: str = ""


def decimal_mark(rows: Iterable[tuple[int, Sequence[object]]], usual: str | None, at_most: int) -> DecimalMark:
    """Return the decimal mark that the numbers in these rows prove.

    Without proof, it is the `usual` mark, or a point if that is None. It is unknown if a number contains another mark
    that could be either a decimal mark or a thousands separator. The first `at_most` rows are examined, and more of
    them as long as such a number leaves doubt.
    """
    doubtful: dict[str, DecimalMark] = {}
    for count, (number, values) in enumerate(rows):
        if count >= at_most and not doubtful.keys() - {usual}:
            break
        for text in filter(None, map(_marked_number, values)):
            proven, mark = _mark_in(text)
            if proven:
                return DecimalMark(mark)
            doubtful.setdefault(mark, DecimalMark(None, number, text))
    return next((doubt for mark, doubt in doubtful.items() if mark != usual), DecimalMark(usual or "."))


def _marked_number(value: object) -> str:
    """Return the text of a number that has a mark; an empty one for any other value."""
    text = value.translate(_CURRENCY).lstrip("+-") if isinstance(value, str) else ""
    digits = text.replace(".", "").replace(",", "")
    return text if digits.isdigit() and len(digits) < len(text) else ""


def _mark_in(text: str) -> tuple[bool, str]:
    """Return the decimal mark of a number and True, or a mark that may also separate thousands and False.

    A mark with other than three digits behind it, or with none or more than three before it, separates no thousands.
    """
    mark, *other = sorted({".", ","} & set(text), key=text.rindex, reverse=True)
    whole, *groups = text.split(mark)
    if other or len(groups) > 1:
        return True, mark if len(groups) == 1 else "," if mark == "." else "."
    return len(groups[0]) != 3 or not 1 <= len(whole) <= 3 or whole.startswith("0"), mark


_IN_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:\.[A-Z]{1,2})?")
_NO_SYMBOL = re.compile(r"[MHDW]\d+|MN\d?|BID|ASK|NASDAQ|NYSE|AMEX|ARCA|NYSEARCA|BATS|CBOE|OHLCVT?|CSV|ETF|USA?")


def symbol_in_name(shape: Shape, stem: str) -> str | None:
    """Return the symbol in a file's name; None unless exactly one of its capitalized words can be a symbol."""
    if shape.named_by:
        match = re.fullmatch(shape.named_by, stem)
        return match[1].upper() if match else None
    words = re.split(r"[^A-Za-z0-9.]+", stem.removesuffix(shape.suffix))
    symbols = [word for word in words if _IN_NAME.fullmatch(word) and not _NO_SYMBOL.fullmatch(word)]
    return symbols[0] if len(symbols) == 1 else None


def seconds_of_day(moment: datetime) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def step_s(moments_us: Iterable[int]) -> int | None:
    """Return the shortest time between two different moments, in seconds; None with fewer than two."""
    ordered = sorted(set(moments_us))
    gaps = (later - sooner for sooner, later in zip(ordered, islice(ordered, 1, None), strict=False))
    return min(gaps, default=0) // 1_000_000 or None
