"""Made-up pasts of an account: sessions, equities and round trips, all from a seed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.views.performance.curve import Benchmark
from tradebot.views.performance.history import History

FIRST = datetime(2025, 1, 6, 14, 30, tzinfo=UTC)
LENGTH = timedelta(hours=6, minutes=30)
CASH = Decimal(100_000)
SYMBOLS = ("AAPL", "MSFT", "NVDA")


def sessions(count: int) -> list[Session]:
    """Return so many weekdays, and the one before them."""
    days = (FIRST + timedelta(days=number) for number in range(-4, 2 * count + 7))
    return [Session(at.date(), at, at + LENGTH) for at in days if at.weekday() < 5][1 : count + 2]


def past(seed: int, count: int) -> History:
    """Return an account that makes one round trip of 10,000 USD in each of so many sessions, whose value it keeps."""
    drawn, value = Random(seed), CASH  # noqa: S311 -- replayable on purpose
    fills, ends = list[OwnedFill](), list[SessionEnd]()
    for number, session in enumerate(sessions(count)[1:]):
        symbol, move = SYMBOLS[number % 3], Decimal(round(drawn.gauss(20, 800), 2)).quantize(Decimal("0.01"))
        for side, price, hour in ((Side.BUY, Decimal(100), 1), (Side.SELL, 100 + move / 100, 4)):
            at = session.open + timedelta(hours=hour)
            name = f"{number}-{side.value}"
            fills.append(OwnedFill("flow", Fill(name, f"order-{name}", symbol, side, Decimal(100), price, at)))
        value += move
        ends.append(SessionEnd(session.date, value, session.close, {}, session.close))
    opened = sessions(count)[1].open - timedelta(hours=1)
    return History("0001", "sandbox", opened, CASH, tuple(fills), ends=tuple(ends), at=ends[-1].equity_at)


def spy(seed: int, count: int) -> Benchmark:
    """Return the prices of a benchmark over these sessions."""
    drawn, price = Random(seed), 500.0  # noqa: S311 -- replayable on purpose
    opens, closes = dict[date, float](), dict[date, float]()
    for session in sessions(count):
        opens[session.date] = price
        price *= 1 + drawn.gauss(0.0004, 0.01)
        closes[session.date] = price
    return Benchmark("SPY", closes, opens)
