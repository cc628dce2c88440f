"""Days for a backtest, drawn at random: a market, a strategy of whims, its exits, limits and times."""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct, field

from papervenue.market.spec import NEXT_BAR, PAPER, Costs, FillSpec, MarketSpec
from tests.kit.values import VENUE_DAY, us_sessions
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import Settings, load
from tradebot.exits.kinds.signals import Momentum, SignalDecay
from tradebot.exits.kinds.stops import AtrTrail, DrawdownStop, StopLoss, TrailingStop
from tradebot.exits.kinds.targets import GainLevel as OutAt
from tradebot.exits.kinds.targets import Ladder, ProfitTarget, ScaleOut, TargetRung
from tradebot.exits.kinds.times import EndOfDay, LowMovement, TimeExit
from tradebot.exits.rules import Exits
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.setup import BacktestSetup, assemble
from tradebot.lab.backtest.venue import EquityAt
from tradebot.lab.driver.driver import Driver, DriverTerms
from tradebot.model.account import CashMovement
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import Protection
from tradebot.model.position import EntryTerms, Key
from tradebot.model.reasons import Reason
from tradebot.model.record import Job, SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trading import SlotClaim
from tradebot.model.view import BarNeed, Close, Needs, Open, Reduce, StrategyView, Target, Want
from tradebot.ports.strategy import Strategy
from tradebot.timetable.job_times import parse

START = date(2025, 3, 3)
SYMBOLS = ("AAPL", "MSFT", "SPY")
NAME = "whims"
COSTLESS = Costs()
COSTLY = Costs(
    commission_bps=Decimal(2),
    margin_rate=Decimal("0.08"),
    cash_rate=Decimal("0.03"),
    borrow_fee_rate=Decimal("0.02"),
    short_rebate_rate=Decimal("0.01"),
)
DEAR = COSTLY._replace(margin_rate=Decimal(1), cash_rate=Decimal(1))
"""Interest that moves the equity nearly as much as prices do."""
LENT = COSTLESS._replace(margin_rate=Decimal("0.08"), borrow_fee_rate=Decimal("0.02"))
"""What only costs an account that has borrowed."""
ON_MARGIN: dict[str, object] = {
    f"max_{name}": Decimal(amount)
    for name, amount in (
        ("order_fraction", 4),
        ("symbol_fraction", 4),
        ("sector_fraction", 4),
        ("gross_fraction", 4),
        ("order_notional_usd", 1_000_000),
        ("spread_fraction", 1),
    )
}
"""Limits that let an account borrow what it can."""
FILLS = (
    NEXT_BAR,
    NEXT_BAR._replace(latency_s=90),
    NEXT_BAR._replace(model="next-open", slippage_bps=Decimal(3)),
    NEXT_BAR._replace(model="close", quotes="last"),
    PAPER,
)


class Whims(Struct, frozen=True):
    """A strategy that trades without a reason: what it wants depends on its number, the symbol and the time alone.

    It `declines` this part of what it doesn't want.
    """

    number: int
    rate: float = 0.1
    times: str = ""
    targets: bool = False
    lever: int = 1
    declines: float = 0.0
    needs: Needs = field(default_factory=lambda: Needs(bars=(BarNeed("5Min", 2),), lots=True))
    name: str = NAME

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return tuple(want for symbol in view.universe if (want := self._want(symbol, view)) is not None)

    def _want(self, symbol: str, view: StrategyView) -> Want | None:
        chance = random.Random(f"{self.number} {symbol} {view.now.isoformat()}")
        if chance.random() > self.rate:
            return declined_want(symbol) if chance.random() < self.declines else None
        if self.targets:
            return Target(symbol, weight=Decimal(chance.randint(-2, 3)) / 10 * self.lever)
        held = view.lots.get(symbol)
        if held is None:
            side = chance.choice((Side.BUY, Side.SELL))
            stop, target = (chance.choice((None, Decimal("0.003"), Decimal("0.01"))) for _ in range(2))
            score = chance.uniform(0.3, 1) * side.sign
            want = Open(symbol, side, score, 1.0, stop_loss_fraction=stop, profit_target_fraction=target)
            return replace(want, atr_fraction=Decimal("0.002"))
        if chance.random() < 0.5:
            return Reduce(symbol, max(abs(held.quantity) // 2, Decimal(1)), "half_of_it")
        return Close(symbol, "enough")


def declined_want(symbol: str) -> Open:
    """Return an entry that its strategy declines."""
    declined = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, 0.1, 0.2)
    return Open(symbol, Side.BUY, 0.5, 1.0, decisions=(declined,))


class Drawn(Struct, frozen=True):
    """What is drawn for one backtest."""

    seed: int
    sessions: int
    symbols: tuple[str, ...]
    strategy: Strategy
    exits: Exits
    protection: Protection
    fill: FillSpec
    halts: dict[str, Decimal]
    looks: str
    entries: str
    comparisons: str
    actions: bool
    costs: Costs = COSTLESS
    daily: bool = False
    limits: dict[str, object] = field(default_factory=dict)


@cache
def settings() -> Settings:
    return load(None, {}, {"universe": list(SYMBOLS)}).settings


@cache
def market(
    seed: int, symbols: tuple[str, ...], sessions: int, fill: FillSpec, actions: bool, costs: Costs = COSTLESS
) -> OpenedMarket:
    spec = MarketSpec(
        start=START,
        symbols=symbols,
        sessions=sessions,
        seed=seed,
        fill=fill,
        corporate_actions=actions,
        cash=Decimal(100_000),
        costs=costs,
    )
    return open_market_in_memory(spec)


@cache
def daily_market(
    seed: int, symbols: tuple[str, ...], sessions: int, fill: FillSpec, actions: bool, costs: Costs = COSTLESS
) -> OpenedMarket:
    """Return a market of daily bars, read from a file that is gone by then.

    With `actions`, there are dividends and splits, and each symbol has no bar in some of the sessions.
    """
    days, chance = daily_sessions(sessions), random.Random(seed)
    rows = ["date,symbol,open,high,low,close,volume,dividends,stock_splits"]
    for symbol in symbols:
        close = chance.uniform(40, 160)
        for day in days:
            opening = round(close * (1 + chance.gauss(0, 0.004)), 2)
            close = round(opening * (1 + chance.gauss(0, 0.012)), 2)
            high, low = max(opening, close) + 0.3, min(opening, close) - 0.3
            dividend = chance.choice((0,) * 15 + (0.25,)) if actions else 0
            split = chance.choice((0,) * 40 + (2,)) if actions else 0
            if not (actions and symbol != symbols[0] and day > START and chance.random() < 0.05):
                rows.append(f"{day},{symbol},{opening},{high:.2f},{low:.2f},{close},9000000,{dividend},{split}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "days.csv"
        path.write_text("\n".join(rows))
        spec = MarketSpec(
            start=START,
            source="daily",
            path=str(path),
            symbols=symbols,
            sessions=sessions,
            fill=fill,
            cash=Decimal(100_000),
            costs=costs,
        )
        return open_market_in_memory(spec)


def daily_sessions(count: int) -> list[date]:
    around = (session.date for session in us_sessions(START - timedelta(30), START + timedelta(2 * count + 10)))
    return list(around)


def assembled(drawn: Drawn, level: RecordLevel = RecordLevel.FULL, equity_at: EquityAt = "market") -> BacktestSetup:
    found = daily_market if drawn.daily else market
    opened = found(drawn.seed, drawn.symbols, drawn.sessions, drawn.fill, drawn.actions, drawn.costs)
    facts = MemoryFacts(level)
    made = assemble(settings(), opened.spec, [drawn.strategy], facts, market=opened, equity_at=equity_at)
    rules = made.world.rules
    tuned = replace(
        rules,
        universe=drawn.symbols,
        own={},
        own_exits={NAME: drawn.exits},
        exits=rules.exits.model_copy(update={"protection": drawn.protection}),
        halts=rules.halts.model_copy(update=drawn.halts),
        limits=rules.limits.model_copy(
            update={"max_daily_loss_fraction": Decimal(1), "target_tolerance_fraction": Decimal("0.002")} | drawn.limits
        ),
    )
    return replace(made, world=replace(made.world, rules=tuned))


def driver(drawn: Drawn, made: BacktestSetup, *, every_pass: bool) -> Driver:
    timetable = {
        Job.FETCH_FLOW: parse("every 5m from open+2m until close", VENUE_DAY),
        Job.SCORE: parse("every 15m from open+2m until close", VENUE_DAY),
        Job.EVALUATE_EXITS: parse(drawn.looks, VENUE_DAY),
        Job.TRADE_ONCE: parse(drawn.entries, VENUE_DAY),
        Job.RECONCILE: parse(drawn.comparisons, VENUE_DAY),
    }
    return Driver(made.world, made.advance, made.ahead, DriverTerms(timetable, every_pass=every_pass))


class Played(Struct, frozen=True):
    """What may not depend on which passes were left out."""

    intents: object
    orders: object
    fills: object
    moved: Sequence[CashMovement]
    cash: Decimal
    state: object
    halts: object
    peak: object
    compared: object
    booked: list[Decimal]
    slots: set[SlotClaim]
    kept: list[dict[Key, EntryTerms]]
    ends: list[SessionEnd]


def played(drawn: Drawn, *, every_pass: bool) -> tuple[Played, Driver]:
    made = assembled(drawn)
    plays, ledger = driver(drawn, made, every_pass=every_pass), made.ledger
    plays.reconcile()
    ends, booked, kept = list[SessionEnd](), list[Decimal](), list[dict[Key, EntryTerms]]()
    for end in map(plays.play, made.sessions):
        ends.append(end)
        booked.append(ledger.account_state().cash_adjustments)
        kept.append(dict(ledger.entry_terms([position.key for position in ledger.totals().own_positions()])))
    mark = ledger.last_reconcile()
    plays.reconcile()
    return Played(
        intents=[(record.intent, record.state, record.code) for record in ledger.intents()],
        orders=ledger.orders(),
        fills=ledger.fills(),
        moved=ledger.cash_movements(),
        cash=made.engine.main.cash,
        state=ledger.trading_state(),
        halts=ledger.halts(),
        peak=ledger.equity_peak(),
        compared=mark,
        booked=booked,
        slots={claim for session in made.sessions for claim in ledger.slot_claims(session.date) if " " in claim.job},
        kept=kept,
        ends=ends,
    ), plays


def fractions(low: str, high: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=4)


RULES: dict[str, st.SearchStrategy[Any]] = {
    "stop": st.builds(StopLoss, fraction=fractions("0.001", "0.02")),
    "target": st.builds(ProfitTarget, fraction=fractions("0.001", "0.03")),
    "trail": st.builds(TrailingStop, fraction=fractions("0.001", "0.01"), arm_fraction=fractions("0.001", "0.01")),
    "drawdown": st.builds(DrawdownStop, fraction=fractions("0.002", "0.02")),
    "time": st.builds(TimeExit, after_s=st.integers(300, 20_000)),
    "day": st.builds(EndOfDay, before_close_s=st.integers(60, 3600)),
    "movement": st.builds(LowMovement, movement_fraction=fractions("0.001", "0.01"), after_s=st.integers(300, 9000)),
    "parts": st.builds(
        ScaleOut,
        levels=fractions("0.001", "0.004").map(
            lambda at: (OutAt(fraction=at, share=Decimal("0.3")), OutAt(fraction=at * 2, share=Decimal("0.4")))
        ),
    ),
    "ladder": st.builds(
        Ladder,
        levels=fractions("0.1", "1").map(
            lambda at: (TargetRung(r=at, share=Decimal("0.3")), TargetRung(r=at * 2, share=Decimal("0.4")))
        ),
        near_fraction=fractions("0", "0.001"),
    ),
    "atr": st.builds(AtrTrail, multiple=fractions("0.5", "3"), arm_r=fractions("0", "1")),
    "momentum": st.builds(Momentum, adverse_fraction=fractions("0.001", "0.01")),
    "decay": st.just(SignalDecay(noise_multiple=1.0, recovery_multiple=0.5, confirm_passes=2, min_hold_s=600)),
}
"""Rules of exits; the last two look at records of earlier passes."""


@st.composite
def exits(draw: st.DrawFn) -> Exits:
    names = draw(st.lists(st.sampled_from(list(RULES)), unique=True, min_size=1, max_size=4))
    return tuple(draw(RULES[name]) for name in names)


def days(seeds: st.SearchStrategy[int], sessions: int = 1) -> st.SearchStrategy[Drawn]:
    tight = st.fixed_dictionaries(
        {"daily_loss_fraction": fractions("0.0005", "0.02"), "drawdown_fraction": fractions("0.0005", "0.02")}
    )
    own_clock = st.sampled_from(("", "", "every 10m", "at open+30m, at open+2h", "first session of week at open+15m"))
    return st.builds(
        Drawn,
        seed=seeds,
        sessions=st.just(sessions),
        symbols=st.sampled_from((SYMBOLS[:1], SYMBOLS)),
        strategy=st.builds(
            Whims,
            st.integers(0, 1000),
            st.sampled_from((0.1, 0.5)),
            own_clock,
            st.booleans(),
            declines=st.sampled_from((0.0, 0.8)),
        ),
        exits=exits(),
        protection=st.sampled_from(Protection),
        fill=st.sampled_from(FILLS),
        halts=st.just({}) | tight,
        looks=st.sampled_from(("every 1m from open+1m until close", "every 5m", "every 15m from open+2m, at close-3m")),
        entries=st.sampled_from(("every 5m from open+2m until close-15m", "every 30m from open+30m", "at open+5m")),
        comparisons=st.sampled_from(("every 15m from open+1m until close", "every 30m from open+4m", "at open+1m")),
        actions=st.booleans(),
        costs=st.sampled_from((COSTLESS, COSTLY)),
    )


WIDE: dict[str, st.SearchStrategy[Any]] = {
    "stop": st.builds(StopLoss, fraction=fractions("0.01", "0.1")),
    "target": st.builds(ProfitTarget, fraction=fractions("0.01", "0.2")),
    "trail": st.builds(TrailingStop, fraction=fractions("0.01", "0.05"), arm_fraction=fractions("0.01", "0.05")),
    "time": st.builds(TimeExit, after_s=st.integers(300, 2_000_000)),
    "day": st.builds(EndOfDay, before_close_s=st.integers(60, 3600)),
    "movement": st.builds(LowMovement, movement_fraction=fractions("0.01", "0.05"), after_s=st.integers(300, 900_000)),
}
"""Rules of exits for positions that are held for days."""


@st.composite
def wide_exits(draw: st.DrawFn) -> Exits:
    names = draw(st.lists(st.sampled_from(list(WIDE)), unique=True, max_size=2))
    return tuple(draw(WIDE[name]) for name in names)


def many_days(seeds: st.SearchStrategy[int], sessions: int) -> st.SearchStrategy[Drawn]:
    """Draw backtests over many days of daily bars, with a strategy that is asked now and then."""
    weekly = ("first session of week at open+15m", "first session of week at open+5m for 3 sessions")
    times = (*weekly, "first session of month at open+5m", "at open+5m", "")
    halts = st.fixed_dictionaries(
        {"daily_loss_fraction": fractions("0.005", "0.05"), "drawdown_fraction": fractions("0.01", "0.1")}
    )
    whims = st.builds(
        Whims,
        st.integers(0, 1000),
        st.sampled_from((0.3, 0.7)),
        st.sampled_from((*weekly, *times)),
        st.booleans(),
        st.sampled_from((1, 3)),
        st.sampled_from((0.0, 0.8)),
        st.just(Needs(bars=(BarNeed("1Day", 2),), lots=True)),
    )
    return st.builds(
        Drawn,
        seed=seeds,
        sessions=st.just(sessions),
        symbols=st.sampled_from((SYMBOLS[:1], SYMBOLS)),
        strategy=whims,
        exits=wide_exits(),
        protection=st.sampled_from((Protection.BOT, *Protection)),
        fill=st.sampled_from((FILLS[3], *FILLS)),
        halts=st.just({}) | halts,
        looks=st.sampled_from(("every 15m from open+1m until close", "every 60m", "at open+10m, at close-3m")),
        entries=st.sampled_from(("every 5m from open+5m until open+30m", "at open+5m")),
        comparisons=st.sampled_from(("every 60m from open+1m until close", "at open+1m")),
        actions=st.booleans(),
        costs=st.sampled_from((COSTLESS, LENT, COSTLY, DEAR, DEAR._replace(posted="month"))),
        daily=st.just(True),
        limits=st.sampled_from(({}, ON_MARGIN)),
    )
