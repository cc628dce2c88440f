"""Foreign engines that play the same rules on the same prices fill the same orders, to the cent."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest
from msgspec import Struct

from benchmarks.support import past_prices
from papervenue.market.spec import CLOSE, NEXT_OPEN, MarketSpec
from tests.suite.tiers import sized
from tradebot.app.settings import load, shipped_path
from tradebot.lab.backtest.run import BacktestPlan, create_run
from tradebot.model.view import BarNeed, Needs, StrategyView, Target
from tradebot.ports.strategy import Strategy
from tradebot.strategies.rotation import RotationStrategy

ROOT = Path(__file__).resolve().parents[2]
FUNDS = ("SPY", "XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLB", "TLT")
"""Funds that have traded for all of the ten years; the last one is held if no other has gained."""
BEFORE = 150
"""How many sessions a rule of days has seen before it trades."""
FIRST, DAYS, MINUTES = date(2014, 5, 30), sized(250, 2_520), sized(4, 60)
MINUTE = timedelta(minutes=1)
SETTINGS = "studies/rotation_published.yaml"
"""Settings without a limit or a halt that could get in the way."""
ROTATION: dict[str, object] = {"ranked": FUNDS[:-1], "defensive": FUNDS[-1]}
OFTEN = {"trade-once": "every 5m from open+5m until close-15m", "evaluate-exits": "every 5m from open+1m until close"}
DAILY = {"source": "daily", "prices": "adjusted", "fill": CLOSE._replace(quotes="last")}
RECORDED = {"source": "csv", "bar_stamp": "start", "fill": NEXT_OPEN._replace(quotes="last")}

Fill = tuple[date | datetime, str, int, Decimal]
"""When, what, how many (negative if sold), and at which price."""


class Rule(Struct, frozen=True):
    """A rule for SPY alone, asked at its times."""

    name: str
    needs: Needs
    times: str = "at open+5m"

    def propose(self, view: StrategyView) -> Sequence[Target]:
        if "SPY" not in view.universe:
            return ()
        held = view.lots["SPY"].quantity if "SPY" in view.lots else 0
        weight = self.weight(view, float(held))
        return () if weight is None else (Target("SPY", Decimal(weight)),)

    def weight(self, view: StrategyView, held: float) -> str | None:
        """Return the share of the equity to hold; None to keep what is held."""
        raise NotImplementedError


class Hold(Rule, frozen=True):
    def weight(self, view: StrategyView, held: float) -> str | None:
        return None if held else "0.98"


class Crossing(Rule, frozen=True):
    def weight(self, view: StrategyView, held: float) -> str | None:
        closes = view.bars("SPY").close
        above = round(fmean(closes[-20:]) - fmean(closes), 6) > 0
        return None if above == bool(held) else "0.98" if above else "0"


class Reversion(Rule, frozen=True):
    def weight(self, view: StrategyView, held: float) -> str | None:
        closes = view.bars("SPY", "5Min").close
        far = (closes[-1] - fmean(closes)) / (pstdev(closes) or 1)
        if held:
            return "0" if far * held >= 0 else None
        return None if abs(far) < 2 else "-0.5" if far > 0 else "0.5"


RULES: Sequence[Strategy] = (
    Hold("hold", Needs(bars=(BarNeed("1Day", 1),), lots=True)),
    Crossing("crossing", Needs(bars=(BarNeed("1Day", 100),), lots=True)),
    RotationStrategy(ROTATION),
    Reversion("reversion", Needs(bars=(BarNeed("5Min", 12),), lots=True), "every 5m from open+1h until close-30m"),
)


def ours(rule: Strategy, path: Path, days: Sequence[date], **market: Any) -> list[Fill]:
    """Play a rule as `backtest` does; a fill is dated by its session, or by the minute in which it was."""
    symbols = FUNDS if rule.name == "rotation" else FUNDS[:1]
    own = {"times": rule.times, "exits": []} | (ROTATION if rule.name == "rotation" else {})
    changes: dict[str, object] = {
        "universe": list(symbols),
        "sectors": dict.fromkeys(symbols, "technology"),
        "strategies": {"rotation": None} | {rule.name: own},
    }
    spec = MarketSpec(start=days[0], path=str(path), symbols=symbols, sessions=len(days), **market)
    daily = spec.source == "daily"
    settings = load(shipped_path(SETTINGS), {}, changes | ({} if daily else {"timetable": OFTEN})).settings
    run = create_run(BacktestPlan(settings, spec), [rule])
    while not run.is_complete:
        run.step()
    fills = [owned.fill for owned in run.made.ledger.fills()]
    at = [f.at.date() if daily else f.at.replace(tzinfo=None) - MINUTE for f in fills]
    return sorted((at, f.symbol, int(f.signed_quantity), f.price) for at, f in zip(at, fills, strict=True))


def compare(rule: Strategy, path: Path, days: Sequence[date], least: int, **market: Any) -> None:
    """Play a rule in each engine that can; it has to trade at least so often."""
    # Imported only here, because every process of a run reads all test modules.
    from benchmarks.support import foreign

    frames = foreign.read(path, days[-1])
    known = frames if rule.name == "rotation" else {"SPY": frames["SPY"]}
    # In a market of minutes, nothing is bought in the first session: it has no close before it to judge prices by.
    daily = market["source"] == "daily"
    played = foreign.Played(known, days[0 if daily else 1], refuge=FUNDS[-1])
    found = ours(rule, path, days, **market)
    assert len(found) >= least
    for name, engine in foreign.ENGINES.items():
        if rule.name in foreign.RULES[name]:
            fills = engine(rule.name, played)
            assert found == sorted((f.at.date() if daily else f.at, *f[1:]) for f in fills), name


@pytest.mark.campaign
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_foreign_engines_fill_as_ours_at_drawn_prices(rule: Strategy, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    if rule.name == "reversion":
        past_prices.minutes(path, "SPY", FIRST, 390 * MINUTES)
        compare(rule, path, past_prices.sessions(FIRST, MINUTES), 4 * MINUTES, **RECORDED)
    else:
        days = past_prices.sessions(FIRST, BEFORE + DAYS)
        past_prices.daily(path, FUNDS if rule.name == "rotation" else FUNDS[:1], days)
        compare(rule, path, days[BEFORE:], 1, **DAILY)


@pytest.mark.campaign
@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.name)
def test_foreign_engines_fill_as_ours_in_ten_years_of_etf_days(rule: Strategy, tmp_path: Path) -> None:
    places = (folder / "shared" / "data" / "market" / "etf_daily_adj.parquet" for folder in ROOT.parents[:2])
    file = next((place for place in places if place.exists()), None)
    if file is None:
        pytest.skip("shared/data has no etf_daily_adj.parquet")
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    path, days = tmp_path / "days.csv", past_prices.sessions(FIRST, BEFORE + 2_520)
    prices = "date::DATE AS date, symbol, open, high, low, close, volume, dividends, stock_splits"
    which = f"symbol IN {FUNDS} AND date BETWEEN '{days[0]}' AND '{days[-1]}'"
    duckdb.sql(f"SELECT {prices} FROM '{file}' WHERE {which} ORDER BY symbol, date").write_csv(str(path))  # noqa: S608
    compare(rule, path, days[BEFORE:], 1 if rule.name == "hold" else 20, **DAILY)
