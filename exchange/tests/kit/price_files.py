"""Write one series of bars as each publisher does."""

import csv
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from papervenue.market import bar_shapes
from papervenue.market.bar_shapes import SHAPES, Shape, TimeForm

BY_NAME: Mapping[str, Shape] = {shape.name: shape for shape in SHAPES}
DAILY_ONLY = frozenset({"yahoo", "nasdaq", "kibot-daily", "day-first-daily", "lean-daily"})
MINUTES_ONLY = frozenset({"kibot", "day-first", "lean", "yfinance"})
UNITS = (1, 10**3, 10**6, 10**9)


class Written(NamedTuple):
    """A bar to write: its start, open, high, low and close in hundredths of a dollar, and its volume in shares."""

    start: datetime
    cents: tuple[int, int, int, int]
    volume: int


class Style(NamedTuple):
    """How to write a file: what a publisher leaves to its users, and what a program may change that saves it again.

    `zone` is that of times that name none; ISO texts name `offset` if it is set. `unit` are the parts of a second that
    an epoch counts. With `thousands`, they are separated.
    """

    zone: str = "America/New_York"
    offset: timedelta | None = None
    unit: int = 1
    separator: str = ","
    decimal: str = "."
    thousands: bool = False


def local_text(pattern: str, joint: str = " ") -> Callable[[datetime, bool, Style], str]:
    """Return what writes a date and, of a minute, the time of day behind it."""

    def write(start: datetime, daily: bool, style: Style) -> str:
        local = start.astimezone(ZoneInfo(style.zone))
        return f"{start:{pattern}}" if daily else f"{local:{pattern}}{joint}{local:%H:%M:%S}"

    return write


def iso_text(start: datetime, daily: bool, style: Style) -> str:
    if daily or style.offset is None:
        return local_text("%Y-%m-%d")(start, daily, style)
    return start.astimezone(timezone(style.offset)).isoformat()


def midnight_text(start: datetime, daily: bool, style: Style) -> str:
    local = start.astimezone(ZoneInfo(style.zone))
    return str((local.hour * 3600 + local.minute * 60) * 1000)


WRITERS: Mapping[TimeForm, Callable[[datetime, bool, Style], str]] = {
    bar_shapes.ISO: iso_text,
    bar_shapes.EPOCH: lambda start, daily, style: str(int(start.timestamp()) * style.unit),
    bar_shapes.COMPACT: local_text("%Y%m%d"),
    bar_shapes.MONTH_FIRST: local_text("%m/%d/%Y"),
    bar_shapes.DAY_FIRST: local_text("%d/%m/%Y"),
    bar_shapes.DOTTED: local_text("%d.%m.%Y"),
    bar_shapes.DOTTED_YEAR_FIRST: local_text("%Y.%m.%d"),
    bar_shapes.SINCE_MIDNIGHT: midnight_text,
}


def number_text(hundredths: int, style: Style, places: int) -> str:
    if places:
        return str(hundredths * 10 ** (places - 2))
    whole = f"{hundredths // 100:,}" if style.thousands else str(hundredths // 100)
    text = f"{whole}.{hundredths % 100:02}"
    return text if style.decimal == "." else text.translate(str.maketrans(",.", ".,"))


def price_text(shape: Shape, bars: Sequence[Written], style: Style, *, daily: bool) -> str:
    """Return the text of a file; shapes that may have a column of symbols have none but for Stooq's."""
    alternatives = [alternative.split("+") for alternative in shape.time.split("|")]
    times = min(alternatives, key=len) if daily and shape.name == "metatrader" else alternatives[0]
    symbols = ["<ticker>"] if shape.name == "stooq" else []
    names = list(shape.bare) or [*symbols, *shape.more, *times, *shape.values]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=style.separator, lineterminator="\r\n")
    if not shape.bare:
        writer.writerow(names)
    for bar in bars:
        moment = WRITERS[shape.forms[0]](bar.start, daily, style).split(" ", len(times) - 1)
        moment += ["000000"] * (len(times) - len(moment))
        prices = [number_text(cents, style, shape.places) for cents in bar.cents]
        fields = {"<ticker>": "AAPL.US", "<tickvol>": str(bar.volume)} | dict(zip(times, moment, strict=True))
        fields |= dict(zip(shape.values, [*prices, str(bar.volume)], strict=True))
        writer.writerow([fields.get(name, "7") for name in names])
    return out.getvalue()


def save(folder: Path, shape: Shape, bars: Sequence[Written], style: Style, *, daily: bool) -> Path:
    """Write a file, whose name has no symbol but for Lean's, which must have it, and return its path."""
    text = price_text(shape, bars, style, daily=daily)
    if not shape.named_by:
        path = folder / "prices.csv"
        path.write_bytes(text.encode())
        return path
    day = "" if daily else f"{bars[0].start.astimezone(ZoneInfo(style.zone)):%Y%m%d}_"
    path = folder / ("aapl.zip" if daily else f"{day}trade.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("aapl.csv" if daily else f"{day}aapl_minute_trade.csv", text)
    return path


def session_minutes(count: int = 390) -> list[Written]:
    """Return the first minutes of a session, on a date that has only one reading."""
    opens = datetime(2026, 11, 13, 14, 30, tzinfo=UTC)
    return [
        Written(opens + timedelta(minutes=i), (23000 + i, 23010 + i, 22990 + i, 23005 + i), 1000 + i)
        for i in range(count)
    ]


def days(count: int = 10) -> list[Written]:
    """Return the bars of the first weekdays of November 2026, stamped with their dates at midnight UTC."""
    dates = (datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=i) for i in range(2 * count))
    weekdays = [date for date in dates if date.weekday() < 5][:count]
    return [
        Written(date, (23000 + 50 * i, 23123 + 50 * i, 22889 + 50 * i, 23037 + 50 * i), 10**6 + 1111 * i)
        for i, date in enumerate(weekdays)
    ]
