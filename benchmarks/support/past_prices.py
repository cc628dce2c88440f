"""Write files of past prices for backtests, drawn at random from a seed."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import exchange_calendars

SEED = 20
DAYS_HEADER = "date,symbol,open,high,low,close,volume,dividends,stock_splits\n"
MINUTES_HEADER = "ts,symbol,open,high,low,close,volume\n"
MINUTE_DRIFT, DAY_DRIFT = 0.0004, 0.012
LOWEST, HIGHEST = 20.0, 2000.0


def sessions(first: date, count: int) -> list[date]:
    """Return the dates of NYSE sessions from a date on."""
    calendar = exchange_calendars.get_calendar("XNYS", start=first.isoformat())
    return [day.date() for day in calendar.sessions[:count]]


def daily(path: Path, symbols: Sequence[str], days: Sequence[date]) -> None:
    """Write daily bars of each symbol in each session, with a dividend every three months."""
    chance = random.Random(SEED)  # noqa: S311
    with path.open("w", encoding="utf-8") as file:
        file.write(DAYS_HEADER)
        for symbol in symbols:
            close = chance.uniform(40, 160)
            for before, day in zip((None, *days), days, strict=False):
                opening, high, low, close = _bar(chance, close, DAY_DRIFT)
                pays = before is not None and day.month % 3 == 0 and before.month != day.month
                dividend = f"{close * 0.004:.3f}" if pays else "0"
                volume = chance.randrange(10**6, 10**7)
                file.write(f"{day},{symbol},{opening:.4f},{high:.4f},{low:.4f},{close:.4f},{volume},{dividend},0\n")


def minutes(path: Path, symbol: str, first: date, count: int) -> int:
    """Write this many minute bars of a symbol, completing the last session, and return the number of sessions."""
    chance, close, written, days = random.Random(SEED), 100.0, 0, 0  # noqa: S311
    with path.open("w", encoding="utf-8") as file:
        file.write(MINUTES_HEADER)
        for opens, closes in _hours(first):
            if written >= count:
                return days
            for start in _minutes(opens, closes):
                opening, high, low, close = _bar(chance, close, MINUTE_DRIFT)
                volume = chance.randrange(100, 10_000)
                file.write(f"{start},{symbol},{opening:.2f},{high:.2f},{low:.2f},{close:.2f},{volume}\n")
                written += 1
            days += 1
    raise AssertionError("the calendar ends before that many minutes")


HOUR_DRIFT, HISTORY_DAYS, HOURS_DAYS, DAY_S = 0.006, 620, 30, 86_400
LENGTHS = (1, 60, 240, 1440)
"""The candles that each coin has, in minutes: the shortest ones to be played, and longer ones of the time before."""


def coins(folder: Path, names: Sequence[str], first: date, days: int) -> None:
    """Write files of each coin in Kraken's shape: minutes of these days and of the one before, and longer candles."""
    chance = random.Random(SEED)  # noqa: S311
    start_s = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) - DAY_S
    for name in names:
        hours = list(_candles(chance, start_s - HISTORY_DAYS * DAY_S, HISTORY_DAYS * 24, 3_600, 100.0))
        of_length = {
            60: hours[-HOURS_DAYS * 24 :],
            240: list(_joined(hours, 4)),
            1440: list(_joined(hours, 24)),
            1: list(_candles(chance, start_s, (days + 1) * 1_440, 60, hours[-1][4])),
        }
        for minutes in LENGTHS:
            with (folder / f"{name}_{minutes}.csv").open("w", encoding="utf-8") as file:
                for start, opening, high, low, close, volume in of_length[minutes]:
                    file.write(f"{start},{opening:.2f},{high:.2f},{low:.2f},{close:.2f},{volume:.4f},9\n")


def _candles(
    chance: random.Random, first_s: int, count: int, width_s: int, close: float
) -> Iterator[tuple[int, float, float, float, float, float]]:
    drift = HOUR_DRIFT if width_s > 60 else MINUTE_DRIFT
    for number in range(count):
        opening, high, low, close = _bar(chance, close, drift)
        yield first_s + number * width_s, opening, high, low, close, chance.uniform(100, 9_000)


def _joined(
    candles: Sequence[tuple[int, float, float, float, float, float]], count: int
) -> Iterator[tuple[int, float, float, float, float, float]]:
    for index in range(0, len(candles), count):
        starts, opens, highs, lows, closes, volumes = zip(*candles[index : index + count], strict=True)
        yield starts[0], opens[0], max(highs), min(lows), closes[-1], sum(volumes)


def _bar(chance: random.Random, before: float, drift: float) -> tuple[float, float, float, float]:
    """Return the bar after a close; prices reverse before they become extreme."""
    opening = round(before * (1 + chance.gauss(0, drift / 4)), 2)
    lean = drift / 10 * ((before < LOWEST) - (before > HIGHEST))
    close = round(opening * (1 + chance.gauss(lean, drift)), 2)
    reach = opening * abs(chance.gauss(0, drift / 2))
    return opening, round(max(opening, close) + reach, 2), round(min(opening, close) - reach, 2), close


def _hours(first: date) -> Iterator[tuple[datetime, datetime]]:
    calendar = exchange_calendars.get_calendar("XNYS", start=first.isoformat())
    for opens, closes in zip(calendar.opens, calendar.closes, strict=True):
        yield opens.to_pydatetime().replace(tzinfo=UTC), closes.to_pydatetime().replace(tzinfo=UTC)


def _minutes(opens: datetime, closes: datetime) -> Iterator[str]:
    for number in range(int((closes - opens) / timedelta(minutes=1))):
        yield (opens + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
