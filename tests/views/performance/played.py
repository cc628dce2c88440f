"""Made-up pasts of an account: sessions, equities and round trips, all from a seed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

from tests.kit.values import VENUE_DAY, cash_movement
from tradebot.model.account import CashMovement
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.evidence import DatedRate, Evidence, Trials, Variant, VariantKind
from tradebot.model.order import Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.views.performance.curve import Benchmark
from tradebot.views.performance.history import History

FIRST = datetime(2025, 1, 6, 14, 30, tzinfo=UTC)
LENGTH = timedelta(hours=6, minutes=30)
CASH = Decimal(100_000)
CENT = Decimal("0.01")
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
    return History("0001", "sandbox", VENUE_DAY, opened, CASH, tuple(fills), ends=tuple(ends), at=ends[-1].equity_at)


def spy(seed: int, count: int) -> Benchmark:
    """Return the prices of a benchmark over these sessions."""
    drawn, price = Random(seed), 500.0  # noqa: S311 -- replayable on purpose
    opens, closes = dict[date, float](), dict[date, float]()
    for session in sessions(count):
        opens[session.date] = price
        price *= 1 + drawn.gauss(0.0004, 0.01)
        closes[session.date] = price
    return Benchmark("SPY", closes, opens)


def rotated(seed: int, count: int) -> History:
    """Return an account that holds 125% in one symbol for 21 sessions at a time, and pays for that."""
    drawn, days = Random(seed), sessions(count)[1:]  # noqa: S311 -- replayable on purpose
    fills, cash, ends = list[OwnedFill](), list[CashMovement](), list[SessionEnd]()
    money, shares, price, held = CASH, Decimal(0), Decimal(100), ""

    def pay(at: datetime, kind: str, usd: Decimal, sub_kind: str) -> Decimal:
        amount = usd.quantize(CENT)
        symbol = held if sub_kind == "COM" else ""
        cash.append(cash_movement(at, -amount, kind, Origin.ACTIVITY, f"paid-{len(cash)}", "", symbol, sub_kind))
        return amount

    def trade(at: datetime, side: Side) -> Decimal:
        name = f"{len(fills)}"
        fills.append(OwnedFill("rotation", Fill(name, f"order-{name}", held, side, shares, price, at)))
        return -side.sign * shares * price - pay(at, "FEE", shares * price / 1000, "COM")

    for number, session in enumerate(days):
        price = (price * Decimal(1 + drawn.gauss(0.0007, 0.011))).quantize(CENT)
        if number % 21 == 0:
            money += trade(session.open + timedelta(minutes=5), Side.SELL) if shares else 0
            held, shares = SYMBOLS[drawn.randrange(3)], Decimal(int(money * Decimal("1.25") / price))
            money += trade(session.open + timedelta(minutes=6), Side.BUY)
        elif money < 0:
            money -= pay(session.open, "INT", -money * Decimal("0.05") / 360, "MGN")
        ends.append(SessionEnd(session.date, money + shares * price, session.close, {held: price}, session.close))
    opened, last = days[0].open - timedelta(hours=1), ends[-1].equity_at
    return History(
        "0001",
        "backtest",
        VENUE_DAY,
        opened,
        CASH,
        tuple(fills),
        tuple(cash),
        tuple(ends),
        at=last,
        marks={held: price},
    )


def known(count: int) -> Evidence:
    """Return what a backtest of so many sessions left beside its books."""
    drawn, days = Random(5), sessions(count)  # noqa: S311 -- replayable on purpose
    changed = ((VariantKind.COSTS, "costs x2", 0.085), (VariantKind.DELAY, "a day later", 0.092))
    rotations = ((VariantKind.REBALANCE_DAY, f"day {day}", drawn.gauss(0.1, 0.05)) for day in range(1, 22))
    return Evidence(
        trials=Trials(12, tuple(drawn.gauss(0.4, 0.3) for _ in range(9))),
        variants=tuple(
            Variant(kind, name, count, 24, 0.5, -0.4, cagr, 0.4) for kind, name, cagr in (*changed, *rotations)
        ),
        cash_rates=(DatedRate(days[0].date, 0.001), DatedRate(days[count // 2].date, 0.05)),
        borrowing_spread=0.015,
    )
