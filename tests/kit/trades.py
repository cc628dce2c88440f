"""Made-up pasts of an account: sessions, equities and round trips, all from a seed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from tests.kit.values import VENUE_DAY, cash_movement
from tradebot.model.account import CashMovement
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.evidence import DatedRate, Evidence, Trials, Variant, VariantKind
from tradebot.model.order import Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.values import replace
from tradebot.views.performance.curve import Benchmark
from tradebot.views.performance.history import History
from tradebot.views.performance.report import AccountReport, RefusalsWorth, Report
from tradebot.views.performance.reporting import Material, account_report
from tradebot.views.selection.plateau import Range
from tradebot.views.selection.verdict import Question, Tried

# Drawn returns of trials that resemble their neighbors, with or without an edge.

SESSIONS, TRIALS, NEAR = 500, 50, 10.0
ASKED = Question("sharpe", 252, {"level": Range(0, TRIALS - 1)})


def returns_of(seed: int, sharpe: float, sessions: int = SESSIONS, trials: int = TRIALS) -> NDArray[np.float64]:
    """Return normal returns with a true Sharpe ratio a year; trials so many places apart are related by 1 / e."""
    places = np.arange(trials)
    related = np.linalg.cholesky(np.exp(-abs(places[:, None] - places) / NEAR))
    drawn = np.random.default_rng(seed).normal(size=(sessions, trials)) @ related.T
    found: NDArray[np.float64] = 0.01 * (drawn + sharpe / np.sqrt(252))
    return found


def tried(returns: NDArray[np.float64]) -> list[Tried]:
    return [
        Tried(place, {"level": place}, tuple(column.tolist()), 100, 1, float(np.prod(1 + column) - 1), 0.0)
        for place, column in enumerate(returns.T)
    ]


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
    drawn, value = Random(seed), CASH
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
    drawn, price = Random(seed), 500.0
    opens, closes = dict[date, float](), dict[date, float]()
    for session in sessions(count):
        opens[session.date] = price
        price *= 1 + drawn.gauss(0.0004, 0.01)
        closes[session.date] = price
    return Benchmark("SPY", closes, opens)


def rotated(seed: int, count: int) -> History:
    """Return an account that holds 125% in one symbol for 21 sessions at a time, and pays for that."""
    drawn, days = Random(seed), sessions(count)[1:]
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
    drawn, days = Random(5), sessions(count)
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


# Reports of made-up accounts.

REFUSALS = (RefusalsWorth("flow", 41, 18, -123.4, -289.1, 42.2, 1000, "What was refused would have lost 123.40 USD."),)


@cache
def account(count: int, seed: int = 1, label: str = "state") -> AccountReport:
    """Return the report of an account that made a round trip in each of so many sessions."""
    history = past(seed, count)
    return account_report(Material(label, history, sessions(count), spy(2, count), 0.04, REFUSALS))


@cache
def long_backtest(count: int = 530) -> AccountReport:
    """Return the report of a backtest that rotated with leverage, with everything that is known beside its books."""
    history = rotated(1, count)
    return account_report(Material("state", history, sessions(count), spy(2, count), 0.0, evidence=known(count)))


def new_account() -> AccountReport:
    return account_report(
        Material("state", History("0001", "sandbox", VENUE_DAY, None, past(1, 1).opening_cash), [], spy(2, 1), 0)
    )


def report(*accounts: AccountReport) -> Report:
    return Report(past(1, 1).at, None, None, None, None, accounts)


def with_trades(account: AccountReport, count: int) -> AccountReport:
    (first, *_) = account.trades
    minutes = (timedelta(minutes=number) for number in range(count))
    assert first.closed_at
    closed = first.closed_at
    trades = (replace(first, id=f"t{at.seconds}", closed_at=closed + at) for at in minutes)
    return replace(account, trades=tuple(trades))


def without_exposure(of: AccountReport) -> AccountReport:
    figures = (replace(each, value=None) if each.name == "exposure" else each for each in of.activity)
    return replace(of, activity=tuple(figures))
