"""Backtests as they are typed: of strategies of the tests, of a rotation among made-up funds, of a vendor's minutes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from unittest.mock import patch

import numpy as np

from commands.backtest import run_backtest
from papervenue.market.bars import Market
from papervenue.market.futures import futures_venue
from papervenue.market.spec import MarketSpec
from papervenue.times import rfc3339
from tests.kit.backtest.drawn import Whims
from tests.kit.values import us_sessions
from tradebot.adapters.time.calendar import exchange_sessions
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.model.struct_tools import replace
from tradebot.ports.strategy import Strategy
from tradebot.venues.alpaca.capabilities import ALPACA

# A rotation between two funds, and days of prices for it in which the session of the trade matters.

ROTATION_FIRST, LAST, TURN = date(2025, 2, 3), date(2025, 3, 7), date(2025, 3, 5)
SPAN = ("--from", "2025-02-26", "--to", "2025-03-07")
TIMES = "first session of month at open+5m for 3 sessions"
ROTATION_CONFIGURATION = f"""
universe: [XLK, XLF, TLT]
strategies:
  flow: null
  rotation:
    ranked: [XLK, XLF]
    lookback_sessions: 3
    top: 1
    leverage: 1
    times: {TIMES}
    limits: {{max_open_positions: 4}}
    exits: []
limits:
  max_order_fraction: 1.40
  max_order_notional_usd: 1000000
  max_symbol_fraction: 1.40
  max_sector_fraction: 1.40
  max_gross_fraction: 1.40
timetable:
  trade-once: every 5m from open+5m until open+30m
  evaluate-exits: every 15m from open+1m until close
  reconcile: every 30m from open+1m until close
"""


def closes() -> dict[str, dict[date, float]]:
    """Return each symbol's closes: XLK rises until it turns, SPY rises all the time."""
    days = [session.date for session in us_sessions(ROTATION_FIRST, LAST)]
    turned = days.index(TURN)
    found: dict[str, dict[date, float]] = {"XLK": {}, "XLF": {}, "TLT": {}, "SPY": {}}
    for place, day in enumerate(days):
        found["XLK"][day] = 100.0 + place - 3 * max(place - turned, 0)
        found["XLF"][day] = 50.0
        found["TLT"][day] = 90.0
        found["SPY"][day] = 400.0 + 2 * place
    return found


def rotation(folder: Path) -> tuple[str, ...]:
    """Write a configuration and a file of daily bars, and return the options that play them."""
    rows = [
        f"{day},{symbol},{price - 0.25:.2f},{price + 0.5:.2f},{price - 0.5:.2f},{price:.2f},9000000"
        for symbol, prices in closes().items()
        for day, price in prices.items()
    ]
    days, file = folder / "days.csv", folder / "rotation.yaml"
    days.write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]))
    file.write_text(ROTATION_CONFIGURATION)
    return ("--bars", str(days), "--config", str(file), *SPAN)


# Daily bars of made-up funds, with or without momentum, and a bot that rotates among them each week.

FUNDS = ("AAPL", "MSFT", "NVDA", "AMZN")
FIRST = date(2024, 1, 2)
FUND_CONFIGURATION = f"""
universe: [{", ".join(FUNDS)}]
strategies:
  flow: null
  rotation:
    ranked: [{", ".join(FUNDS)}]
    defensive: null
    lookback_sessions: 20
    top: 1
    min_momentum: 0
    leverage: 1
    min_ranked: null
    regime: null
    max_behind_s: 23400
    allotment_fraction: 1
    times: first session of week at open+5m
    limits: {{max_open_positions: 4}}
    exits: []
limits:
  max_order_fraction: 1.4
  max_order_notional_usd: 1000000
  max_symbol_fraction: 1.4
  max_sector_fraction: 1.4
  max_gross_fraction: 1.4
  max_daily_loss_fraction: 0.5
halts: {{daily_loss_fraction: 0.6, drawdown_fraction: 0.9}}
"""
FEW = """
settings:
  strategies.rotation.lookback_sessions: {from: 5, to: 9}
  strategies.rotation.top: [1]
trials: 3
min_trades: 1
"""


def bars(path: Path, sessions: int, seed: int, edge: float) -> Path:
    """Write daily bars of funds whose prices drift for a while, up or down, by `edge` standard deviations a day."""
    drawn, days = np.random.default_rng(seed), exchange_sessions(FIRST, date(2027, 12, 31), ALPACA.calendar)[:sessions]
    lines = ["date,symbol,open,high,low,close,volume"]
    for name in FUNDS:
        drift, price = 0.0, 100.0
        for place, day in enumerate(days):
            if place % 60 == 0 or drawn.random() < 0.02:
                drift = edge * drawn.choice((-1.0, 1.0))
            opened, price = price, price * float(np.exp(0.01 * (drift + drawn.normal())))
            low, high = min(opened, price), max(opened, price)
            lines.append(f"{day.date},{name},{opened:.4f},{high:.4f},{low:.4f},{price:.4f},1000000000")
    path.write_text("\n".join(lines) + "\n")
    return path


def bot(folder: Path, sessions: int, seed: int = 1, edge: float = 0.0, space: str = FEW) -> tuple[str, ...]:
    """Write a market, a configuration and a space into a folder; return the arguments of a search there."""
    folder.mkdir(parents=True, exist_ok=True)
    market = bars(folder / "bars.csv", sessions, seed, edge)
    (folder / "bot.yaml").write_text(FUND_CONFIGURATION)
    (folder / "space.yaml").write_text(space)
    places = ("--bars", str(market), "--config", str(folder / "bot.yaml"), "--state-dir", str(folder / "state"))
    return (str(folder / "space.yaml"), *places)


# Files of the minutes of a generated market of contracts, as a vendor would tell them.

HEADER = "ts,symbol,open,high,low,close,volume"


def generated(start: date, sessions: int, *roots: str) -> MarketSpec:
    """Return a market of these roots."""
    venue = futures_venue(start, sessions, roots)
    symbols = tuple(one.symbol for one in venue.instruments)
    return MarketSpec(start=start, sessions=sessions, symbols=symbols, seed=5, venue=venue)


def lines_of(market: Market, symbols: Iterable[str], places: Sequence[int]) -> list[str]:
    """Return the rows of some contracts in some sessions, which count back from the market's first if negative."""
    found = []
    for symbol in symbols:
        usd = market.grids[symbol].usd
        for bar in (bar for place in places for bar in market.day(symbol, place).bars):
            prices = (str(usd(units)) for units in bar[1:5])
            found.append(",".join((rfc3339(bar.start_us), symbol, *prices, str(bar.volume))))
    return found


def written(path: Path, rows: Iterable[str]) -> Path:
    """Write a file of bars."""
    path.write_text("\n".join((HEADER, *rows, "")))
    return path


def opened_from(path: Path, spec: MarketSpec) -> OpenedMarket:
    """Return the market of a file in place of a generated one."""
    return open_market_in_memory(replace(spec, source="csv", path=str(path), bar_stamp="start"))


CONFIGURATION = """
universe: [AAPL, MSFT]
limits: {cooldown_s: 60}
timetable:
  score: at open+30m
  evaluate-exits: every 5m from open+1m until open+60m
  trade-once: every 10m from open+2m until open+50m
  reconcile: every 30m from open+1m until open+60m
"""
TRADER = Whims(5, 0.7)


def configured(folder: Path, more: str = "") -> Path:
    file = folder / "quick.yaml"
    file.write_text(CONFIGURATION + more)
    return file


@contextmanager
def traded_by(strategies: Callable[[], Sequence[Strategy]] = lambda: [TRADER]) -> Iterator[None]:
    """Let the strategies of a test trade in place of the configured ones, each time they are loaded."""

    @contextmanager
    def loaded(planned: object, **_: object) -> Iterator[Sequence[Strategy]]:
        yield strategies()

    with patch.object(run_backtest, "load_strategies", loaded):
        yield
