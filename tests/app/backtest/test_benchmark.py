"""The benchmark of a backtest comes from the market that was played, or from its file, with dividends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tradebot.app.backtest.results import benchmark_of
from tradebot.app.backtest.run import Plan, Run, begin
from tradebot.app.settings import load
from tradebot.exchange.market.spec import MarketSpec
from tradebot.model.needs import NOTHING, Needs
from tradebot.model.view import StrategyView
from tradebot.model.wants import Want

FIRST = date(2025, 3, 3)
DAYS = [date(2025, 2, 28), *(date(2025, 3, day) for day in (3, 4, 5, 6, 7))]
CLOSES = (100.0, 101.0, 99.0, 102.0, 103.0, 104.0)
DIVIDEND = 2.0


@dataclass(frozen=True)
class Idle:
    """Never wants anything."""

    name: str = "idle"
    times: str = ""
    needs: Needs = NOTHING

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return ()


def played(spec: MarketSpec, sessions: int) -> Run:
    run = begin(Plan(load(None, {}, {"universe": list(spec.symbols)}).settings, spec), [Idle()])
    for _ in range(sessions):
        run.step()
    return run


def days(folder: Path, *symbols: str) -> MarketSpec:
    """Return five sessions of these symbols, and one before; the file's prices are adjusted for a dividend."""
    rows = ["date,symbol,open,high,low,close,volume,dividends,stock_splits"]
    for day, close in zip(DAYS, CLOSES, strict=True):
        paid = DIVIDEND if day == DAYS[4] else 0
        rows += [f"{day},{symbol},{close},{close},{close},{close},900000,{paid},0" for symbol in symbols]
    file = folder / "days.csv"
    file.write_text("\n".join(rows))
    return MarketSpec(source="daily", path=str(file), start=FIRST, sessions=5, symbols=symbols[:1])


@pytest.mark.parametrize("symbols", [("SPY",), ("AAPL", "SPY")])
def test_benchmark_prices_come_from_the_file_even_if_the_symbol_was_not_played(
    tmp_path: Path, symbols: tuple[str, ...]
) -> None:
    found = benchmark_of(played(days(tmp_path, *symbols), 5))
    assert found.problem == ""
    assert [price.day for price in found.prices] == DAYS
    # The file is adjusted for all of its dividends, as SPY is at its end; raw prices are on ticks in between.
    assert [price.close for price in found.prices] == pytest.approx(CLOSES, rel=1e-4)


@pytest.mark.parametrize("symbols", [("SPY",), ("AAPL", "SPY")])
def test_a_run_that_was_stopped_knows_no_later_dividend(tmp_path: Path, symbols: tuple[str, ...]) -> None:
    found = benchmark_of(played(days(tmp_path, *symbols), 2))
    assert [price.day for price in found.prices] == DAYS[:3]
    grown = found.prices[-1].close / found.prices[0].close
    assert grown == pytest.approx(CLOSES[2] / CLOSES[0], rel=1e-4)
    assert found.prices[-1].close == pytest.approx(CLOSES[2] * 102 / (102 - DIVIDEND), rel=0.01), "as it was traded"


def test_missing_benchmark_is_explained(tmp_path: Path) -> None:
    lacking = benchmark_of(played(days(tmp_path, "AAPL"), 1))
    assert (lacking.prices, lacking.problem) == ((), "SPY isn't shown: the file that was played has no bars of it.")
    made = MarketSpec(symbols=("AAPL",), start=FIRST, sessions=1)
    assert "isn't in the universe" in benchmark_of(played(made, 1)).problem


def test_a_generated_market_has_its_own() -> None:
    run = played(MarketSpec(symbols=("AAPL", "SPY"), start=FIRST, sessions=1), 1)
    *_, last = benchmark_of(run).prices
    bars = run.market.source.bars("SPY", 0)
    assert (last.day, last.open, last.close) == (FIRST, bars[0].open / 10_000, bars[-1].close / 10_000)
