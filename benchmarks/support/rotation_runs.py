"""Play the rotation over years of daily prices under different assumptions, with the live bot's own code."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, field

from papervenue.market.rates import rates_of, read_rates
from papervenue.market.spec import CLOSE, FUNDS, Costs, MarketSpec
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import Settings, load, shipped_path
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.backtest.setup import Margin, loaded_strategies
from tradebot.lab.backtest.venue import EquityAt
from tradebot.lab.performance.backtest_result import BacktestHalt, halts_seen
from tradebot.model.struct_tools import replace

PRICES, RATES = "etf_daily_adj.parquet", "effr_daily.csv"
PUBLISHED, HONEST = "studies/rotation_published.yaml", "studies/rotation_honest.yaml"
SHIPPED = "profiles/rotation.yaml"
CASH = Decimal(100_000)


class Assumptions(Struct, frozen=True, kw_only=True):
    """The assumptions of a run.

    Costs are in basis points of the price, or of the value traded. `margin_spread` is the cost of a loan above the
    funds rate, as an annual fraction; without it, borrowing is free and cash earns nothing. `changes` are settings that
    differ from those of the study.
    """

    study: str = HONEST
    first: date = date(2020, 1, 2)
    last: date = date(2024, 12, 30)
    prices: Literal["raw", "adjusted"] = "raw"
    day_prices: Literal["open-and-close", "close"] = "open-and-close"
    slippage_bps: Decimal = Decimal(5)
    commission_bps: Decimal = Decimal(0)
    margin_spread: Decimal | None = Decimal("0.015")
    equity_at: EquityAt = "market"
    margin: Margin = "reg_t"
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def costs(self) -> Costs:
        """Return the costs as the exchange charges them."""
        if self.margin_spread is None:
            return Costs(commission_bps=self.commission_bps)
        return Costs(
            commission_bps=self.commission_bps, margin_rate=FUNDS, margin_spread=self.margin_spread, cash_rate=FUNDS
        )


class Played(Struct, frozen=True):
    """The results of a run: the account's value and positions after each session, its orders, and its costs.

    `traded_usd` is the value of all fills, and `booked_usd` the other bookings by kind of activity.
    """

    values: Mapping[date, float]
    held: Mapping[date, tuple[str, ...]]
    orders: int
    traded_usd: float
    booked_usd: Mapping[str, float]
    halts: tuple[BacktestHalt, ...]
    missed: int


class Data(Struct, frozen=True):
    """The folder with daily prices and the funds rate."""

    folder: Path

    def market(self, assumed: Assumptions) -> tuple[MarketSpec, OpenedMarket]:
        """Return the market of these assumptions; prices are read only once."""
        spec = MarketSpec(
            start=assumed.first,
            source="daily",
            path=str(self.folder / PRICES),
            symbols=tuple(_settings(assumed).universe),
            sessions=_sessions(assumed.first, assumed.last),
            cash=CASH,
            prices=assumed.prices,
            day_prices=assumed.day_prices,
            fill=CLOSE._replace(quotes="last", slippage_bps=assumed.slippage_bps),
            costs=assumed.costs._replace(rates_path=str(self.folder / RATES)),
        )
        opened = _open_market(replace(spec, fill=CLOSE, costs=Costs()))
        return spec, opened._replace(spec=spec, rates=rates_of(spec, opened.calendar))

    def make_up(self, assumed: Assumptions, days: Sequence[date]) -> None:
        """Write random prices of these assumptions' funds, and one rate for all days, into the folder."""
        import duckdb

        from benchmarks.support.past_prices import daily

        daily(self.folder / "prices.csv", _settings(assumed).universe, days)
        duckdb.read_csv(str(self.folder / "prices.csv")).write_parquet(str(self.folder / PRICES))
        (self.folder / RATES).write_text("".join(["date,effr\n", *(f"{day},1.5\n" for day in days)]))


@cache
def _open_market(spec: MarketSpec) -> OpenedMarket:
    return open_market_in_memory(spec)


@cache
def _sessions(first: date, last: date) -> int:
    """Return the number of NYSE sessions from one date to another, inclusive."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start=first.isoformat())
    return len(calendar.sessions_in_range(first.isoformat(), last.isoformat()))


def play(data: Data, assumed: Assumptions, on_session: Callable[[date], None] = lambda session: None) -> Played:
    """Play a run; `heard` is called with each finished session."""
    settings = _settings(assumed)
    spec, opened = data.market(assumed)
    with loaded_strategies(settings, data.folder, {}) as in_use:
        plan = BacktestPlan(settings, spec, RecordLevel.COUNTS, equity_at=assumed.equity_at, margin=assumed.margin)
        return _play_and_watch(create_run(plan, in_use, opened), on_session)


def _play_and_watch(run: BacktestRun, on_session: Callable[[date], None]) -> Played:
    """Play all sessions, recording the account at each close."""
    setup = run.made
    while not run.is_complete:
        run.step()
        on_session(run.ends[-1].session)
    fills = [each.fill for each in setup.ledger.fills()]
    booked = defaultdict[str, float](float)
    for entry in setup.ledger.booked().values():
        booked[entry.kind] += float(entry.amount)
    missed = sum(event.event_type.startswith("slot_") for event in setup.events.emitted)
    return Played(
        {end.session: float(end.equity or 0) for end in run.ends},
        {end.session: tuple(end.marks) for end in run.ends},
        orders=len({fill.venue_order_id for fill in fills}),
        traded_usd=float(sum(fill.quantity * fill.price for fill in fills)),
        booked_usd=booked,
        halts=tuple(halts_seen(setup.ledger.trading_states())),
        missed=missed,
    )


def _settings(assumed: Assumptions) -> Settings:
    """Return the settings of a study with its changes, validated as a bot's settings are."""
    return load(shipped_path(assumed.study), {}, assumed.changes).settings


def closes(data: Data, symbol: str, first: date, last: date) -> dict[date, float]:
    """Return the adjusted closes of a symbol between two dates, inclusive, which reinvest dividends."""
    import duckdb

    query = "SELECT date, close FROM read_parquet(?) WHERE symbol = ? AND date BETWEEN ? AND ? ORDER BY date"
    rows = duckdb.execute(query, [str(data.folder / PRICES), symbol, first, last]).fetchall()
    return {moment.date(): close for moment, close in rows}


def funds_rates(data: Data, days: Iterable[date]) -> dict[date, float]:
    """Return the funds rate on each day, as an annual fraction: the newest one known then."""
    rates = read_rates(data.folder / RATES)
    return {day: float(rates.on(day.isoformat())) for day in days}
