"""The published figures of the rotation, computed from prices by an independent oracle, and the funds that it held."""

import csv
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from math import sqrt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from msgspec import Struct

from benchmarks.rotation import STALE
from benchmarks.support.rotation_runs import Data, play
from tests.kit.values import NOW
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import StrategyView, Target
from tradebot.strategies.rotation import RotationStrategy

# The published rotation in a few lines of pandas: an independent computation that the backtest is compared with.
#
# It knows nothing of the bot. A rebalance ranks and fills at adjusted prices of one session; sizes are whole shares.

SECTORS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE")
CASH = 100_000.0
LEVERAGE = 1.25
SLIPPAGE = 0.0005


@dataclass(frozen=True)
class Terms:
    """What is assumed. `stale` values positions at their last fill when sizing, the original's defect.

    `fill`: close, ranked and filled at the first session's close; next, ranked there and filled at the next open; open,
    ranked at the close before and filled at the first session's open. `commission` is a fraction of each trade.
    `margin` is what a loan costs per year above the funds rate, None if borrowing is free and cash earns nothing.
    """

    stale: bool = True
    fill: str = "close"
    commission: float = 0.001
    margin: float | None = None


@dataclass
class Outcome:
    """A finished run: the holdings by session, the net asset value after each session, and the number of trades."""

    holdings: dict[str, list[str]] = field(default_factory=dict)
    values: dict[pd.Timestamp, float] = field(default_factory=dict)
    trades: int = 0

    @property
    def curve(self) -> "pd.Series[float]":
        return pd.Series(self.values)

    @property
    def growth(self) -> tuple[float, float]:
        """Return the compound annual growth rate from the first session's value on, and from the first dollar on."""
        curve = self.curve
        years = (curve.index[-1] - curve.index[0]).days / 365.25
        return float((curve.iloc[-1] / curve.iloc[0]) ** (1 / years) - 1), float(
            (curve.iloc[-1] / CASH) ** (1 / years) - 1
        )

    @property
    def drawdown(self) -> float:
        return float((1 - self.curve / self.curve.cummax()).max())

    def sharpe(self, periods: int) -> float:
        """Return the mean daily return over its standard deviation, annualized by the root of `periods`."""
        returns = self.curve.pct_change().dropna()
        return float(returns.mean() / returns.std() * sqrt(periods))


def run(
    opens: pd.DataFrame, closes: pd.DataFrame, rates: "pd.Series[float]", first: str, last: str, terms: Terms
) -> Outcome:
    """Play the rotation between two dates on adjusted prices, a column per symbol; `rates` are fractions a year."""
    out, cash, held, filled = Outcome(), CASH, dict[str, int](), dict[str, float]()
    sessions = closes.loc[first:last].index
    due: list[str] | None = None
    for place, session in enumerate(sessions):
        before = sessions[place - 1] if place else None
        if before is not None and terms.margin is not None:
            rate = rates.asof(before) + (terms.margin if cash < 0 else 0)
            cash *= 1 + rate * (session - before).days / 360
        begins = before is None or before.month != session.month
        if begins:
            decided = closes.index.get_loc(session) - (terms.fill == "open")
            chosen = choose(closes.iloc[decided], closes.iloc[decided - 126])
            out.holdings[session.date().isoformat()] = chosen
            due = chosen
        if due and (terms.fill != "next" or not begins):
            prices = (closes if terms.fill == "close" else opens).loc[session]
            worth = {symbol: filled[symbol] if terms.stale else prices[symbol] for symbol in held}
            value = cash + sum(shares * worth[symbol] for symbol, shares in held.items())
            for symbol, shares in orders(held, {symbol: LEVERAGE / len(due) * value for symbol in due}, prices):
                price = prices[symbol] * (1 + SLIPPAGE if shares > 0 else 1 - SLIPPAGE)
                cash -= shares * price + abs(shares * price) * terms.commission
                held[symbol], filled[symbol] = held.get(symbol, 0) + shares, price
                out.trades += 1
            held = {symbol: shares for symbol, shares in held.items() if shares}
            due = None
        out.values[session] = cash + sum(shares * closes.at[session, symbol] for symbol, shares in held.items())
    return out


def choose(now: "pd.Series[float]", before: "pd.Series[float]") -> list[str]:
    """Return the three sectors with the largest return, as far as they haven't fallen, or the bond fund."""
    returns = {symbol: now[symbol] / before[symbol] - 1 for symbol in SECTORS}
    return [symbol for symbol in sorted(SECTORS, key=lambda s: -returns[s])[:3] if returns[symbol] >= 0] or ["TLT"]


def orders(held: Mapping[str, int], wanted: Mapping[str, float], prices: "pd.Series[float]") -> list[tuple[str, int]]:
    """Return the signed shares to trade, sales first; what isn't wanted is sold whole."""
    changes = {symbol: int(usd / prices[symbol] - held.get(symbol, 0)) for symbol, usd in wanted.items()}
    changes |= {symbol: -shares for symbol, shares in held.items() if symbol not in wanted}
    return sorted(((s, n) for s, n in changes.items() if n), key=lambda change: change[1] > 0)


ROOT = Path(__file__).resolve().parents[2]
HOLDINGS = ROOT / "docs" / "rotation_holdings.csv"
"""The 60 rebalances of the published run: the session, and the funds held from then on."""
SYMBOLS = (*SECTORS, "TLT", "SPY")
FIRST, LAST = "2020-01-02", "2024-12-30"


class Prices(Struct, frozen=True):
    """Adjusted opens and closes, the funds rate, and the folder that all of it is from."""

    folder: Path
    opens: Any
    closes: Any
    rates: Any

    def run(self, terms: Terms) -> Outcome:
        return run(self.opens, self.closes, self.rates, FIRST, LAST, terms)


@pytest.fixture(scope="module")
def prices() -> Prices:
    places = (folder / "shared" / "data" / "market" / "etf_daily_adj.parquet" for folder in ROOT.parents[:2])
    file = next((place for place in places if place.exists()), None)
    if file is None:
        pytest.skip("shared/data has no etf_daily_adj.parquet")
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    import pandas as pd

    names = ", ".join(f"'{symbol}'" for symbol in SYMBOLS)
    rows = duckdb.sql(f"SELECT date, symbol, open, close FROM '{file}' WHERE symbol IN ({names})").df()  # noqa: S608
    opens, closes = (rows.pivot(index="date", columns="symbol", values=column) for column in ("open", "close"))
    rates = pd.read_csv(file.with_name("effr_daily.csv"), parse_dates=["date"]).set_index("date")["effr"] / 100
    return Prices(file.parent, opens, closes, rates)


def committed() -> Mapping[str, list[str]]:
    with HOLDINGS.open(encoding="utf-8", newline="") as file:
        return {row["session"]: row["funds"].split() for row in csv.DictReader(file)}


def test_table_of_holdings_has_a_row_for_each_month_of_five_years() -> None:
    table = committed()
    assert len(table) == 60
    assert [session[:7] for session in table] == [
        f"{year}-{month:02}" for year in range(2020, 2025) for month in range(1, 13)
    ]
    assert table["2020-01-02"] == ["XLF", "XLK", "XLV"]
    assert {fund for funds in table.values() for fund in funds} <= {*SECTORS, "TLT"}


def test_published_run_is_reproduced_with_the_funds_of_the_table(prices: Prices) -> None:
    found = prices.run(Terms())
    assert {session: sorted(funds) for session, funds in found.holdings.items()} == committed()
    assert found.trades == 227
    assert found.growth == pytest.approx((0.1301, 0.1296), abs=0.0001)
    assert found.drawdown == pytest.approx(0.402, abs=0.001)
    assert (found.sharpe(2190), found.sharpe(252)) == pytest.approx((1.712, 0.581), abs=0.001)


@pytest.mark.parametrize(
    ("terms", "growth", "drawdown"),
    [
        (Terms(stale=False), 0.1263, 0.387),
        (Terms(stale=False, margin=0.0), 0.1193, 0.387),
        (Terms(stale=False, margin=0.015), 0.1151, 0.388),
        (Terms(stale=False, margin=0.015, fill="next"), 0.1115, 0.388),
        (Terms(stale=False, margin=0.015, fill="next", commission=0.0), 0.1238, 0.388),
    ],
    ids=["marked rightly", "interest", "with a spread", "at the next open", "without commission"],
)
def test_each_honest_assumption_lowers_the_growth_as_documented(
    prices: Prices, terms: Terms, growth: float, drawdown: float
) -> None:
    found = prices.run(terms)
    assert found.growth[0] == pytest.approx(growth, abs=0.0002)
    assert found.drawdown == pytest.approx(drawdown, abs=0.001)


def test_bot_trades_as_the_published_run_did(prices: Prices) -> None:
    expected, last = prices.run(Terms()), date(2020, 4, 30)
    played = play(Data(prices.folder), replace(STALE, last=last))
    values = {moment.date(): value for moment, value in expected.values.items() if moment.date() <= last}
    assert list(played.values) == list(values)
    assert list(played.values.values()) == pytest.approx(list(values.values()), rel=0.0005)
    months = {session: funds for session, funds in committed().items() if session <= last.isoformat()}
    assert {session: list(played.held[date.fromisoformat(session)]) for session in months} == months
    assert (len(months), played.missed, played.halts) == (4, 0, ())


def test_strategy_chooses_the_funds_of_the_table_from_the_same_closes(prices: Prices) -> None:
    strategy, table = RotationStrategy({}), committed()
    (need,) = strategy.needs.bars
    for session, funds in table.items():
        last = prices.closes.index.get_loc(session)
        newest = prices.closes.iloc[last + 1 - need.depth : last + 1]
        columns = {symbol: array("d", newest[symbol]) for symbol in SECTORS}
        series = [Series(s, "1Day", True, array("q", range(need.depth)), c, c, c, c, c) for s, c in columns.items()]
        wants = strategy.propose(StrategyView(NOW, (*SECTORS, "TLT"), series={one.key: one for one in series}))
        assert isinstance(wants, list)
        weights = {want.symbol: want.weight for want in wants if isinstance(want, Target) and want.weight}
        assert sorted(weights) == funds, session
        assert float(sum(weights.values())) == pytest.approx(1.25)
