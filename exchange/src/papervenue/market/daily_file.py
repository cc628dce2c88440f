"""Read daily bars from CSV or Parquet, and check every row.

A bad row is skipped and counted by reason. The columns are date,symbol,open,high,low,close,volume and, if prices are
adjusted, dividends, stock_splits and capital_gains (paid out like dividends).

Rebuild raw prices from prices that a vendor adjusted for dividends and splits.

Vendors multiply all prices before an ex-date by (close before - dividend) / close before, and divide prices before a
split by its ratio. Their dividends are per share as of the file's end. So go back from the newest day, and let F be the
product of the factors of later days. In shares as of the file's end, close before = adjusted close / F + dividend. Then
multiply F by (close before - dividend) / close before. The product of the later split ratios converts the price to
shares of its own day. Source: CRSP's definition of adjustment factors, which data vendors share.

Events after a day change its adjusted prices, but not the raw prices rebuilt from them: raw prices are rounded to the
tick grid, which removes the file's own rounding errors. Two things can't be known: dividends after the file's end,
which none of its prices reflect, and distributions in kind, which vendors report as a split.
"""

from __future__ import annotations

import csv
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from papervenue.market.bar_files import (
    EXPECTED,
    FROM_PARQUET,
    BarFile,
    is_parquet,
    only_file,
    open_bars,
    opened_parquet,
)
from papervenue.market.bar_shapes import seconds_of_day
from papervenue.market.bars import UNITS
from papervenue.market.minute_rows import NOT_REQUESTED, BadRowError
from papervenue.market.recorded import Skipped
from papervenue.market.sessions import every_session
from papervenue.market.spec import AS_FOUND, TICKER, MarketError, Reading
from papervenue.times import NEW_YORK, to_datetime

_MOST_OLD_SHARES = 1_000
"""The largest denominator of a split ratio. Files give ratios with few digits: 0.333333 means 1 for 3."""
_PLACES, _SPLIT_PLACES = Decimal("1e-6"), Decimal("1e-5")
"""The precision of reported dividends, and their precision once a later split has divided them."""
_CENT = UNITS // 100


class FileEvent(NamedTuple):
    """What a file reports for a date: a dividend in USD per share, and how many new shares replace each old one.

    `dividend` is per share as of the file's end, like the file's prices.
    """

    date: str
    dividend: float = 0.0
    ratio: float = 1.0


class DailyAction(NamedTuple):
    """A corporate action per share of its day: first a dividend for each share owned before that day, then a split."""

    date: str
    rate: Decimal
    ratio: Fraction


class Segment(NamedTuple):
    """A range of rows, up to but not including `end`, whose raw prices are the adjusted prices times `price`.

    Their raw volume is the adjusted volume divided by `shares`.
    """

    first: int
    end: int
    price: float
    shares: float


class Rebuilt(NamedTuple):
    """How to rebuild a symbol's raw prices, newest rows first, and its corporate actions, newest first."""

    segments: list[Segment]
    happened: list[DailyAction]


def rebuild(dates: Sequence[str], closes: Sequence[float], events: Sequence[FileEvent]) -> Rebuilt:
    """Return how to rebuild raw prices from the adjusted closes on these ISO dates; the oldest date comes first.

    An event before the first row is dropped, because no price reflects it.
    """
    segments: list[Segment] = []
    happened: list[DailyAction] = []
    factor, shares, end = 1.0, Fraction(1), len(dates)
    for event in reversed(events):
        first = bisect_left(dates, event.date)
        if not first:
            break
        if first < end:
            segments.append(Segment(first, end, float(shares) / factor, float(shares)))
            end = first
        split = shares != 1 or event.ratio != 1
        ratio = Fraction(event.ratio).limit_denominator(_MOST_OLD_SHARES)
        shares *= ratio
        if event.dividend:
            before = closes[first - 1] / factor + event.dividend
            factor *= (before - event.dividend) / before
        rate = Decimal(repr(event.dividend * float(shares))).quantize(_SPLIT_PLACES if split else _PLACES)
        happened.append(DailyAction(event.date, rate.normalize(), ratio))
    if end:
        segments.append(Segment(0, end, float(shares) / factor, float(shares)))
    return Rebuilt(segments, happened)


def on_ticks(prices: Sequence[float], scale: float) -> list[int]:
    """Convert prices in USD, times a scale, to price units, rounded to the tick grid."""
    cents, units = 100 * scale, UNITS * scale
    return [
        whole * _CENT if (whole := int(price * cents + 0.5)) >= 100 else int(price * units + 0.5) or 1
        for price in prices
    ]


def to_exact_units(prices: Sequence[float]) -> list[int]:
    """Convert prices in USD to price units, not rounded to the tick grid."""
    return [int(price * UNITS + 0.5) or 1 for price in prices]


COLUMNS = ("date", "symbol", "open", "high", "low", "close", "volume")
PAID = ("dividends", "capital_gains")
SPLITS = "stock_splits"
_PRICES = COLUMNS[2:6]
_HIGHEST_PRICE, _LOWEST_PRICE = 1e7, 1e-4
_MOST_SHARES = 1e12
_LARGEST_RATIO = 1_000.0
_MORE = "\0more"
"""The column with how many more fields a row has than the header. With a different number, each value may belong to
another column.
"""
_OWN_DATE = 10
_DAYS_IN_PARQUET = "strftime(TRY_CAST(date AS DATE), '%Y-%m-%d') AS date"


class Rows(NamedTuple):
    """One symbol's valid rows as in the file, and its dividends and splits, oldest first."""

    dates: list[str]
    open: array[float]
    high: array[float]
    low: array[float]
    close: array[float]
    volume: array[float]
    events: list[FileEvent]


class Daily(NamedTuple):
    """A file's rows by symbol, and the skipped rows.

    `tells_actions` is True if the file has a column of dividends or splits.
    """

    rows: dict[str, Rows]
    skipped: Skipped
    tells_actions: bool


def is_daily(path: Path, reading: Reading = AS_FOUND) -> bool:
    """Return True if a file has daily bars; False if it doesn't or can't be read."""
    try:
        return open_bars(path, reading).daily
    except MarketError:
        return False


def read_daily(path: Path, requested: frozenset[str] = frozenset(), reading: Reading = AS_FOUND) -> Daily:
    """Read a file of daily bars, or only some symbols of it; raise MarketError if it can't be read."""
    good, names, skipped = _good_rows(path, requested, reading)
    return Daily(dict(_by_symbol(good, names)), skipped, bool(names))


def daily_dates(path: Path, reading: Reading = AS_FOUND) -> tuple[list[str], Skipped]:
    """Return the ISO dates for which a file has bars, oldest first, and the rows that were skipped."""
    good, _, skipped = _good_rows(path, frozenset(), reading)
    return sorted(good["date"].unique()), skipped


def _good_rows(path: Path, requested: frozenset[str], reading: Reading) -> tuple[Any, list[str], Skipped]:
    """Return a file's good rows, its columns for corporate actions, and the other rows."""
    frame = _frame(open_bars(path, reading))
    skipped = Skipped("parquet" if is_parquet(path) else "csv")
    names = [name for name in (*PAID, SPLITS) if name in frame.columns]
    for name in (*_PRICES, "volume"):
        frame[name] = _numbers(frame[name])
    for name in names:
        frame[name] = _amounts(frame[name])
    return frame[_sorted_out(frame, names, requested, skipped)], names, skipped


def _frame(file: BarFile) -> Any:
    if not file.daily:
        raise MarketError(f"{file.path}: its bars aren't daily", "set sandbox.source to csv or parquet")
    if not _has_plain_dates(file):
        frame = _shaped_frame(file)
    else:
        frame = _parquet_frame(file.path) if is_parquet(file.path) else _csv_frame(file)
    for name in ("date", "symbol"):
        frame[name] = frame[name].astype("category")
    return frame


def _has_plain_dates(file: BarFile) -> bool:
    """Return True if pandas or DuckDB can read the file's dates as they are."""
    if not file.is_plain or "date" not in file.names or is_parquet(file.path):
        return file.is_plain and "date" in file.names
    time = str(next((fields[0] for _, fields in file.rows() if fields), ""))
    return len(time) in (0, _OWN_DATE)


def _columns_to_read(names: Sequence[str]) -> list[str]:
    return [name for name in names if name in (*COLUMNS, *PAID, SPLITS)]


def _shaped_frame(file: BarFile) -> Any:
    """Return the rows of a file in another shape, or with other dates, as a frame."""
    import pandas as pd

    adjusted = [name for name in file.names if name.replace(" ", "_") in (*PAID, SPLITS)]
    if adjusted:
        hint = f"name the columns {', '.join(COLUMNS)}, write dates like 2026-11-13, and separate them by commas"
        raise MarketError(f"{file.path}: {', '.join(adjusted)} can't be read in the shape {file.shape.name}", hint)
    numbers, rows = [], []
    for number, fields in file.rows():
        numbers.append(number)
        extra = len(fields) - len(COLUMNS)
        rows.append((*((_date_text(fields[0]), *fields[1:]) if not extra else ("",) * len(COLUMNS)), extra))
    return pd.DataFrame(rows, index=numbers, columns=[*COLUMNS, _MORE])


def _date_text(time: object) -> str:
    """Return the date of a midnight in the time's own zone, New York or UTC; an empty text for another time."""
    try:
        moment = to_datetime(time) if isinstance(time, int) else datetime.fromisoformat(str(time))
    except ValueError:
        return ""
    own = (moment,) if moment.tzinfo is None else (moment, moment.astimezone(NEW_YORK))
    return next((f"{each:%Y-%m-%d}" for each in own if not seconds_of_day(each)), "")


def _csv_frame(file: BarFile) -> Any:
    import pandas as pd

    path = file.path
    try:
        more = dict(_of_other_lengths(file))
        frame = pd.read_csv(
            path,
            sep=file.separator,
            names=file.names,
            header=0,
            usecols=_columns_to_read(file.names),
            dtype={"date": "category", "symbol": "category"},
            keep_default_na=False,
            skip_blank_lines=False,
            low_memory=False,
            encoding="utf-8-sig",
        )
    except (UnicodeDecodeError, csv.Error, pd.errors.ParserError) as error:
        hint = f"save it as UTF-8 text; {EXPECTED}; a Parquet file's name ends in .parquet"
        raise MarketError(f"{path}: not a CSV file: {error}", hint) from error
    frame.index += 2
    if more:
        frame[_MORE] = frame.index.map(lambda row: more.get(row, 0))
    rows, last = frame[frame["symbol"].notna() & (frame["symbol"] != "")], max(more, default=0)
    if more.get(last, 0) < 0 and last >= max(rows.index, default=0):
        raise MarketError(f"{path}: it ends in the middle of line {last}", "get the whole file again")
    return rows


def _of_other_lengths(file: BarFile) -> Iterator[tuple[int, int]]:
    """Yield the rows whose number of fields differs from the header's, and how many more they have."""
    with file.path.open(newline="", encoding="utf-8-sig") as text:
        for row, fields in enumerate(csv.reader(text, delimiter=file.separator, strict=True), start=1):
            if fields and len(fields) != len(file.names):
                yield row, len(fields) - len(file.names)


def _parquet_frame(path: Path) -> Any:
    with opened_parquet(path) as (connection, types):
        columns = ", ".join(_DAYS_IN_PARQUET if name == "date" else name for name in _columns_to_read([*types]))
        # These names are a fixed list of this module.
        frame = connection.execute(f"SELECT {columns} {FROM_PARQUET}", [only_file(path)]).df()
    frame.index += 1
    return frame


def _numbers(column: Any) -> Any:
    """Return a column as floats; anything that isn't a number becomes NaN."""
    import pandas as pd

    return pd.to_numeric(column, errors="coerce").astype("float64")


def _amounts(column: Any) -> Any:
    """Return a column of dividends or splits as floats: empty becomes 0, and anything not a number infinity."""
    numbers = _numbers(column)
    empty = column.isna() | (column.astype(str).str.strip() == "") if column.dtype == object else column.isna()
    return numbers.mask(numbers.isna(), float("inf")).mask(empty, 0.0)


def _sorted_out(frame: Any, names: list[str], requested: frozenset[str], skipped: Skipped) -> Any:
    """Return which rows are good, and count the others by their first problem."""
    good = frame["symbol"].notna() | True
    for reason, bad in _checks(frame, names, requested):
        failing = good & bad
        count = int(failing.sum())
        if count:
            skipped.counts[reason] += count
            skipped.first.setdefault(reason, int(failing.idxmax()))
            good &= ~failing
    twice = frame.loc[good, ["symbol", "date"]].duplicated()
    repeated = twice[twice].index
    for number in repeated[:1]:
        skipped.add(BadRowError("duplicate"), int(number))
        skipped.counts["duplicate"] = len(repeated)
    good.loc[repeated] = False
    return good


def _checks(frame: Any, names: list[str], requested: frozenset[str]) -> Iterator[tuple[str, Any]]:
    sessions, symbols, dates = every_session(), frame["symbol"], frame["date"].astype("object")
    if _MORE in frame.columns:
        yield "too few fields", frame[_MORE] < 0
        yield "too many fields", frame[_MORE] > 0
    yield "bad symbol", ~symbols.isin([s for s in symbols.cat.categories if TICKER.fullmatch(str(s))])
    if requested:
        yield NOT_REQUESTED, ~symbols.isin(requested)
    yield "unparsable date", ~dates.isin([text for text in frame["date"].cat.categories if _is_date(text)])
    yield "not a session", ~dates.isin(sessions)
    prices = frame[list(_PRICES)]
    yield "not a number", prices.isna().any(axis=1) | frame["volume"].isna()
    yield "negative price", (prices < 0).any(axis=1)
    yield "price zero or out of range", ((prices < _LOWEST_PRICE) | (prices > _HIGHEST_PRICE)).any(axis=1)
    yield "high below low", frame["high"] < frame["low"]
    ends = frame[["open", "close"]]
    outside = ends.lt(frame["low"], axis=0) | ends.gt(frame["high"], axis=0)
    yield "open or close outside low and high", outside.any(axis=1)
    yield "negative volume", frame["volume"] < 0
    yield "volume out of range", frame["volume"] > _MOST_SHARES
    for name in names:
        limit = _LARGEST_RATIO if name == SPLITS else _HIGHEST_PRICE
        yield f"bad {name}", (frame[name] < 0) | (frame[name] > limit)


def _is_date(text: object) -> bool:
    try:
        return date.fromisoformat(str(text)).isoformat() == text
    except ValueError:
        return False


def _by_symbol(frame: Any, names: list[str]) -> Iterator[tuple[str, Rows]]:
    ordered = frame.assign(date=frame["date"].astype("object")).sort_values(["symbol", "date"], kind="stable")
    dates, symbols, events = ordered["date"].tolist(), ordered["symbol"], list(_events(ordered, names))
    columns = {name: ordered[name].to_numpy() for name in (*_PRICES, "volume")}
    first = 0
    for count in symbols.cat.codes.value_counts(sort=False).sort_index():
        end = first + count
        own = [event for _, event in events[bisect_left(events, (first,)) : bisect_left(events, (end,))]]
        prices = {name: _array(column[first:end]) for name, column in columns.items()}
        yield str(symbols.iat[first]), Rows(dates=dates[first:end], events=own, **prices)
        first = end


def _array(column: Any) -> array[float]:
    numbers = array("d")
    numbers.frombytes(column.tobytes())
    return numbers


def _events(rows: Any, names: list[str]) -> Iterator[tuple[int, FileEvent]]:
    """Yield each event with the number of its row."""
    if not names:
        return
    actions = rows[names].reset_index(drop=True)
    busy = actions[(actions != 0).any(axis=1)]
    for row_number, row in zip(busy.index, busy.to_dict("records"), strict=True):
        paid = sum(row.get(name, 0.0) for name in PAID)
        yield int(row_number), FileEvent(rows["date"].iat[row_number], paid, row.get(SPLITS) or 1.0)
