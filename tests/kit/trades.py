"""Made-up pasts of an account, all from a seed: trades, tax years, reports, and candidates with what followed them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.kit.values import ACCOUNT, VENUE_DAY, cash_movement, fill
from tradebot.auditing.outcomes import HORIZONS, HypotheticalEntry, Returns, SessionReturns, StrategyOutcomes, Tally
from tradebot.lab.learn.values import TradeOutcome, outcomes_of
from tradebot.lab.performance.curve import BenchmarkPrices
from tradebot.lab.performance.report import AccountReport, PerformanceReport, RefusedTradesProfit
from tradebot.lab.performance.reporting import ReportMaterial, account_report
from tradebot.lab.selection.multiple_testing import Range
from tradebot.lab.selection.verdict import PlayedTrial, SearchQuestion
from tradebot.model.account import CashMovement
from tradebot.model.bar import Session
from tradebot.model.candidate import Component, Side
from tradebot.model.decision import Gate
from tradebot.model.evidence import DatedRate, Evidence, Trials, Variant, VariantKind
from tradebot.model.order import Fill
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.record import EntryOutcome, SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.views.trades.history import History
from tradebot.views.trades.tax import TaxRow, tax_year
from tradebot.views.trades.tax_lots import Method
from tradebot.views.trades.trade_row import LONG, EntrySource, Excursion, TradeRow, TradeStatus

# Made-up candidates and what followed them, with an edge or without one.

AT = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
PANEL_SYMBOLS = ("AAPL", "AMZN", "MSFT", "NVDA", "TSLA")
LONGEST = 11
DAILY = 0.02
"""The standard deviation of a symbol's return in a session."""


class Told(SessionReturns):
    """Returns that a test makes up, by symbol and by the minute after AT in which a candidate is entered."""

    def __init__(self, returns: dict[tuple[str, int], Returns]) -> None:
        self._told = returns

    def entry(self, symbol: str, at: datetime) -> HypotheticalEntry | None:
        minute = int((at - AT).total_seconds()) // 60
        found = self._told.get((symbol, minute))
        return None if found is None else HypotheticalEntry(minute, found)


def judged(
    symbol: str = "AAPL",
    score: float | None = 0.5,
    gate: Gate | None = None,
    *,
    minute: int = 0,
    at: datetime = AT,
    was_gated: bool = True,
    parts: Mapping[str, float | None] = MappingProxyType({}),
) -> EntryOutcome:
    side = Side.SELL if score is not None and score < 0 else Side.BUY
    return EntryOutcome(
        at + timedelta(minutes=minute), "flow", symbol, side, score, tuple(parts.items()), gate, was_gated
    )


def panel_returns(*values: float | None) -> Returns:
    return (*values, *[None] * (len(HORIZONS) - len(values)))


def panel_outcomes(*days: tuple[dict[tuple[str, int], Returns], list[EntryOutcome]]) -> StrategyOutcomes:
    tally = Tally()
    for told, each in days:
        tally.add(Told(told), each)
    (found,) = tally.outcomes()
    return found


def panel(seed: int, sessions: int, edge: float) -> StrategyOutcomes:
    """Measure random candidates with scores that last for days, in a market whose symbols move together.

    Three components are noise. With an edge, an hour's return leans toward the score by that many standard deviations.
    """
    return panel_outcomes(*panel_days(Random(seed), sessions, edge))


def panel_days(
    chance: Random, sessions: int, edge: float
) -> Iterator[tuple[dict[tuple[str, int], Returns], list[EntryOutcome]]]:
    market = [chance.gauss(0, 0.01) for _ in range(sessions + LONGEST)]
    moves = {s: [beta + chance.gauss(0, DAILY) for beta in market] for s in PANEL_SYMBOLS}
    views = {symbol: [chance.uniform(-1, 1) for _ in range(4)] for symbol in PANEL_SYMBOLS}
    for session in range(sessions):
        told, each = dict[tuple[str, int], Returns](), list[EntryOutcome]()
        for symbol in PANEL_SYMBOLS:
            views[symbol] = [0.9 * view + 0.3 * chance.uniform(-1, 1) for view in views[symbol]]
            score, *noise = views[symbol]
            for minute in (0, 60):
                hour = 0.004 * (chance.gauss(0, 1) + edge * (1 if score > 0 else -1))
                later = [sum(moves[symbol][session : session + reach]) + hour for reach in (1, 2, 4, 6, 11)]
                told[symbol, minute] = (hour, *later)
                gate = chance.choice((None, Gate.SPREAD, Gate.COOLDOWN))
                parts: dict[str, float | None] = dict(zip(("flow", "tide", "skew"), noise, strict=True))
                each.append(judged(symbol, score, gate, minute=minute, parts=parts))
        yield told, each


# Closed trades to learn from, a few in each session, with what components said of them.

OPEN = datetime(2026, 6, 1, 13, 30, tzinfo=UTC)
DAY = VenueDay("America/New_York")
HOURS = timedelta(hours=6, minutes=30)
WORTH = 1000
"""What each trade paid, in USD: 10 shares at 100."""
FLOW = "flow"


def session(number: int) -> Session:
    opened = OPEN + timedelta(days=number)
    return Session(opened.date(), opened, opened + HOURS)


def trade(
    number: int,
    net: float,
    says: Mapping[str, float] | None = None,
    *,
    in_session: int = 0,
    minutes: int = 60,
    held: timedelta = timedelta(minutes=30),
    weight: float = 0.4,
    best: float | None = 0.01,
    worst: float | None = -0.01,
    **other: Any,
) -> TradeRow:
    """Return a closed trade of 1,000 USD, which components are positive about if they expect a rise."""
    opened = OPEN + timedelta(days=in_session, minutes=minutes)
    usd = Decimal(str(round(net, 6)))
    said = {"flow": 0.5} if says is None else says
    fields: dict[str, Any] = {
        **dict.fromkeys((name for name in TradeRow.__struct_fields__), None),
        "id": f"t{number:05}",
        "strategy": FLOW,
        "symbol": f"S{number % 7}",
        "side": LONG,
        "status": TradeStatus.CLOSED,
        "source": EntrySource.BOT,
        "opened_at": opened,
        "closed_at": opened + held,
        "quantity": Decimal(10),
        "entry_price": Decimal(100),
        "gross_usd": usd,
        "fees_usd": Decimal(0),
        "net_usd": usd,
        "reasons": (),
        "entry_score": 0.3,
        "components": tuple(Component(name, value, weight, "") for name, value in said.items()),
        "best": excursion(best),
        "worst": excursion(worst),
        "multiplier": Decimal(1),
        "unknown_fees": 0,
        "open_fees_usd": Decimal(0),
    }
    return TradeRow(**{**fields, **other})


def excursion(fraction: float | None) -> Excursion | None:
    if fraction is None:
        return None
    exact = Decimal(str(round(fraction, 6)))
    return Excursion(100 + 100 * exact, exact, WORTH * exact, None)


def numbered_sessions(count: int) -> Mapping[date, Session]:
    return {one.date: one for one in map(session, range(count))}


def outcomes(*trades: TradeRow) -> tuple[TradeOutcome, ...]:
    return outcomes_of(trades, numbered_sessions(400), DAY)


# Trades of a tax year as a person writes them down, and what is asked of their sales.


def on(day: str, hour: int = 15) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)


def traded(*rows: str, symbol: str = "AAPL") -> tuple[OwnedFill, ...]:
    """Return a fill for each row such as `2026-03-02 buy 100 50`, with the strategy after it if it isn't flow's."""
    found = list[OwnedFill]()
    for number, row in enumerate(rows, 1):
        day, way, quantity, price, *owner = row.split()
        side = Side.BUY if way == "buy" else Side.SELL
        owner = owner or ["flow"]
        found.append(fill(number, symbol, side, quantity, price, strategy=owner[0].replace("hand", ""), at=on(day)))
    return tuple(found)


def tax_history(
    fills: Iterable[OwnedFill], *cash: CashMovement, until: str = "2030-12-31", **changes: object
) -> History:
    usual = {"fills": tuple(fills), "cash": cash, "at": on(until), "opened_at": on("2020-01-02")}
    return History(ACCOUNT, "paper", VENUE_DAY, opening_cash=Decimal(100_000), **{**usual, **changes})  # type: ignore[arg-type]


def fee(day: str, usd: str) -> CashMovement:
    return cash_movement(on(day), Decimal(usd), "FEE", Origin.ACTIVITY, f"fee-{day}", "a fee")


def commission(owned: OwnedFill, usd: str) -> CashMovement:
    """Return what a fill was charged, as the embedded exchange books it."""
    fill = owned.fill
    about = f"commission-{fill.activity_id}"
    return cash_movement(fill.at, Decimal(usd), "FEE", Origin.ACTIVITY, about, "", fill.symbol, "COM")


def rows(history: History, year: int = 2026, method: Method = Method.FIFO) -> list[TaxRow]:
    return list(tax_year(history, year, method).rows)


def brief(found: Iterable[TaxRow]) -> list[str]:
    """Return of each row when it was bought and sold, proceeds, basis, what is disallowed, the gain and the term."""
    return [
        " ".join(
            str(each)
            for each in (
                row.acquired,
                row.sold,
                f"{row.shares:f}",
                row.proceeds_usd,
                row.basis_usd,
                row.code or "-",
                row.adjustment_usd,
                row.gain_usd,
                row.term,
            )
        )
        for row in found
    ]


def of(value: object, *names: str) -> tuple[object, ...]:
    """Return some fields of a row, a trade or a total."""
    return tuple(getattr(value, name) for name in names)


# Drawn returns of trials that resemble their neighbors, with or without an edge.

SESSIONS, TRIALS, NEAR = 500, 50, 10.0
ASKED = SearchQuestion("sharpe", 252, {"level": Range(0, TRIALS - 1)})


def returns_of(seed: int, sharpe: float, sessions: int = SESSIONS, trials: int = TRIALS) -> NDArray[np.float64]:
    """Return normal returns with a true Sharpe ratio a year; trials so many places apart are related by 1 / e."""
    places = np.arange(trials)
    related = np.linalg.cholesky(np.exp(-abs(places[:, None] - places) / NEAR))
    drawn = np.random.default_rng(seed).normal(size=(sessions, trials)) @ related.T
    found: NDArray[np.float64] = 0.01 * (drawn + sharpe / np.sqrt(252))
    return found


def tried(returns: NDArray[np.float64]) -> list[PlayedTrial]:
    return [
        PlayedTrial(place, {"level": place}, tuple(column.tolist()), 100, 1, float(np.prod(1 + column) - 1), 0.0)
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


def spy(seed: int, count: int) -> BenchmarkPrices:
    """Return the prices of a benchmark over these sessions."""
    drawn, price = Random(seed), 500.0
    opens, closes = dict[date, float](), dict[date, float]()
    for session in sessions(count):
        opens[session.date] = price
        price *= 1 + drawn.gauss(0.0004, 0.01)
        closes[session.date] = price
    return BenchmarkPrices("SPY", closes, opens)


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

REFUSALS = (
    RefusedTradesProfit("flow", 41, 18, -123.4, -289.1, 42.2, 1000, "What was refused would have lost 123.40 USD."),
)


@cache
def account(count: int, seed: int = 1, label: str = "state") -> AccountReport:
    """Return the report of an account that made a round trip in each of so many sessions."""
    history = past(seed, count)
    return account_report(ReportMaterial(label, history, sessions(count), spy(2, count), 0.04, REFUSALS))


@cache
def long_backtest(count: int = 530) -> AccountReport:
    """Return the report of a backtest that rotated with leverage, with everything that is known beside its books."""
    history = rotated(1, count)
    return account_report(ReportMaterial("state", history, sessions(count), spy(2, count), 0.0, evidence=known(count)))


def new_account() -> AccountReport:
    return account_report(
        ReportMaterial("state", History("0001", "sandbox", VENUE_DAY, None, past(1, 1).opening_cash), [], spy(2, 1), 0)
    )


def report(*accounts: AccountReport) -> PerformanceReport:
    return PerformanceReport(past(1, 1).at, None, None, None, None, accounts)


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
