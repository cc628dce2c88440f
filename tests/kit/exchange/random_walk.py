"""A small, rough market at random: two sessions of half an hour, and bars that walk about ten dollars."""

from random import Random

from tests.kit.exchange.pit import Bars
from tradebot.exchange.chance import stream
from tradebot.exchange.market.bars import UNITS, Bar
from tradebot.exchange.market.sessions import Calendar, session_of
from tradebot.exchange.times import MINUTE, at_new_york

SYMBOLS = ("AAA", "BBB")
DAYS = ("2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06", "2025-03-07")
MINUTES, AROUND = 30, 15
"""Minutes of a session, and of trading before its open and after its close."""
FIRST_PRICE = 10 * UNITS
CENT = UNITS // 100


class Walk(Bars):
    """Bars of a random walk near ten dollars: some minutes are missing, some have no volume, most very little."""

    def __init__(self, seed: int, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days = {
            (symbol, index): _minutes(stream(seed, symbol, index), session.open_us - AROUND * MINUTE)
            for symbol in SYMBOLS
            for index, session in enumerate(calendar.market)
        }

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        session = self._calendar.market[index]
        return tuple(b for b in self._days[symbol, index] if session.open_us <= b.start_us < session.close_us)

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return tuple(b for b in self._days[symbol, index] if b not in self.bars(symbol, index))

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return FIRST_PRICE


def _minutes(rng: Random, first_us: int) -> tuple[Bar, ...]:
    price, bars = FIRST_PRICE + rng.randint(-20, 20) * CENT, []
    for minute in range(AROUND + MINUTES + AROUND):
        first = price + rng.choice((0, 0, 0, 1, -2, 9, -9)) * CENT
        price = max(5 * UNITS, first + rng.randint(-8, 8) * CENT)
        high, low = max(first, price) + rng.randint(0, 5) * CENT, min(first, price) - rng.randint(0, 5) * CENT
        volume = rng.choice((0, 4, 15, 39, 80, 400))
        if rng.random() > 0.1:
            bars.append(Bar(first_us + minute * MINUTE, first, high, low, price, volume))
    return tuple(bars)


def small_calendar() -> Calendar:
    opens = [at_new_york(day, 9, 30) for day in DAYS]
    sessions = [session_of((day, us, us + MINUTES * MINUTE)) for day, us in zip(DAYS, opens, strict=True)]
    return Calendar(sessions, first=1, count=2)
