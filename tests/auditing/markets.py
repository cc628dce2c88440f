"""Made-up bars in which nothing is wrong, for tests that break one thing."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.kit.values import VENUE_DAY
from tradebot.auditing.bar_findings import RawBar, Stored
from tradebot.model.bar import Session

NEW_YORK = ZoneInfo("America/New_York")
MONDAY = date(2026, 3, 2)
"""Summer time begins at the end of this week."""


def weekdays(count: int, first: date = MONDAY) -> list[Session]:
    days = (first + timedelta(days=7 * (place // 5) + place % 5) for place in range(count))
    return [Session(day, _at(day, time(9, 30)), _at(day, time(16))) for day in days]


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def minutes(sessions: Sequence[Session], seed: int = 1, *, filled: float = 1.0, extended: bool = False) -> list[RawBar]:
    """Return minute bars of a random walk; of the extended hours, a tenth of the minutes have a few shares traded."""
    chance, price, bars = random.Random(seed), 100.0, []  # noqa: S311 -- made-up prices
    for session in sessions:
        opens, closes = int(session.open.timestamp()), int(session.close.timestamp())
        first, last = (opens - 19_800, closes + 14_400) if extended else (opens, closes)
        for start_s in range(first, last, 60):
            inside = opens <= start_s < closes
            price *= 1 + chance.gauss(0, 0.0005)
            if start_s == opens or chance.random() < (filled if inside else 0.1):
                bars.append(_bar(start_s, price, chance, 1000 if inside else 20))
    return bars


def daily(sessions: Sequence[Session], seed: int = 1) -> list[RawBar]:
    chance, price, bars = random.Random(seed), 100.0, []  # noqa: S311 -- made-up prices
    for session in sessions:
        price *= 1 + chance.gauss(0, 0.005)
        bars.append(_bar(VENUE_DAY.begins_s(session.date), price, chance, 1_000_000))
    return bars


def _bar(start_s: int, price: float, chance: random.Random, volume: int) -> RawBar:
    close = price * (1 + chance.gauss(0, 0.0002))
    return RawBar(
        start_s, price, max(price, close) * 1.0001, min(price, close) * 0.9999, close, volume * chance.uniform(0.5, 2)
    )


def of_minutes(bars: Sequence[RawBar], symbol: str = "AAPL") -> Stored:
    return Stored(symbol, "1Min", bars)


def of_days(bars: Sequence[RawBar], symbol: str = "AAPL") -> Stored:
    return Stored(symbol, "1Day", bars)
