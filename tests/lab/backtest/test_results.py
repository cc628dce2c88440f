"""The folder of finished backtests: names, trials, and what is in the way.

What is shown of a backtest at another venue are the minutes that it played, and none that had not ended.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papervenue.market.coins import kraken_venue
from papervenue.market.spec import MarketSpec
from tests.kit.backtest.playing import generated
from tests.lab.backtest.roads import Stub
from tradebot.adapters.state.evidence import Trial
from tradebot.app.settings import load
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.results import PlayedBars, Results, benchmark_of, daily_prices, last_prices, read_result
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.view import BarNeed

FIRST = date(2025, 3, 3)
DAYS = [date(2025, 2, 28), *(date(2025, 3, day) for day in (3, 4, 5, 6, 7))]
CLOSES = (100.0, 101.0, 99.0, 102.0, 103.0, 104.0)
DIVIDEND = 2.0


def played(spec: MarketSpec, sessions: int) -> BacktestRun:
    run = create_run(BacktestPlan(load(None, {}, {"universe": list(spec.symbols)}).settings, spec), [Stub("idle")])
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
def test_benchmark_prices_come_from_the_file_even_if_not_played_and_a_stopped_run_knows_no_later_dividend(
    tmp_path: Path, symbols: tuple[str, ...]
) -> None:
    found, stopped = (benchmark_of(played(days(tmp_path, *symbols), sessions)) for sessions in (5, 2))
    assert (found.problem, [price.day for price in found.prices]) == ("", DAYS)
    # The file is adjusted for all of its dividends, as SPY is at its end; raw prices are on ticks in between.
    assert [price.close for price in found.prices] == pytest.approx(CLOSES, rel=1e-4)
    assert [price.day for price in stopped.prices] == DAYS[:3]
    grown = stopped.prices[-1].close / stopped.prices[0].close
    assert grown == pytest.approx(CLOSES[2] / CLOSES[0], rel=1e-4)
    assert stopped.prices[-1].close == pytest.approx(CLOSES[2] * 102 / (102 - DIVIDEND), rel=0.01), "as it was traded"


def test_missing_benchmark_is_explained(tmp_path: Path) -> None:
    lacking = benchmark_of(played(days(tmp_path, "AAPL"), 1))
    assert (lacking.prices, lacking.problem) == ((), "SPY isn't shown: the file that was played has no bars of it.")
    made = MarketSpec(symbols=("AAPL",), start=FIRST, sessions=1)
    assert "isn't in the universe" in benchmark_of(played(made, 1)).problem


def test_benchmark_of_a_generated_market_is_its_own_symbol() -> None:
    run = played(MarketSpec(symbols=("AAPL", "SPY"), start=FIRST, sessions=1), 1)
    *_, last = benchmark_of(run).prices
    bars = run.market.source.bars("SPY", 0)
    assert (last.day, last.open, last.close) == (FIRST, bars[0].open / 10_000, bars[-1].close / 10_000)


def test_trial_counts_once_with_its_last_run(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert results.trials("slow") == []
    one, again = Trial("slow", "a1", "first", 10, 0.5), Trial("slow", "a1", "second", 20, None)
    results.add_trials([one, Trial("slow", "b2", "third", 10, 1.0), Trial("fast", "a1", "fourth", 10, 1.0)])
    results.add_trials([again])
    results.add_trials([again])
    assert results.trials("slow") == [again, Trial("slow", "b2", "third", 10, 1.0)]
    assert len((results.folder / "trials.jsonl").read_text().splitlines()) == 4
    with (results.folder / "trials.jsonl").open("a") as file:
        file.write("torn{")
    assert len(results.trials("slow")) == 2
    results.add_trials([Trial("slow", "c3", "fifth", 10, 1.0)])
    assert len(results.trials("slow")) == 3, "what was being written when its process died is written over"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-x", "x" * 61, "trials.jsonl", "one.checkpoint", "one.draft", "a.lock"]
)
def test_invalid_run_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="a run can't be called"):
        Results(tmp_path).folder_of(name)


def test_result_is_none_without_a_file_and_an_error_if_broken(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(OperatorError, match=r"result\.json can't be read"):
        read_result(tmp_path)


def test_variants_of_another_run_of_this_name_do_not_count(tmp_path: Path) -> None:
    results, variant = Results(tmp_path), Variant(VariantKind.COSTS, "costs x2", 3, 3, 0.0001, -0.01)
    assert results.variants("one", "a1") == ()
    results.folder_of("one").mkdir(parents=True)
    results.add_variants("one", [variant])
    assert results.variants("one", "a1") == ()
    (results.folder_of("one") / "result.json").write_text('{"identity": {"fingerprint": "a1"}}')
    assert results.variants("one", "a1") == (variant,)
    assert results.variants("one", "b2") == ()


def test_run_name_is_locked_while_it_is_played(tmp_path: Path) -> None:
    one, another = Results(tmp_path), Results(tmp_path)
    with suppress(KeyboardInterrupt), one.alone("first"):
        with another.alone("second"), pytest.raises(TradebotError, match="backtest, process") as raised:
            another.alone("first").__enter__()
        assert raised.value.code is ExitCode.ANOTHER_INSTANCE
        raise KeyboardInterrupt
    with another.alone("first"):
        assert [path.name for path in one.folder.iterdir()] == ["first.lock"]
    assert list(one.folder.iterdir()) == []


COIN, FIRST_DAY = "PF_PEPEUSD", date(2026, 11, 16)
BEGINS = datetime(2026, 11, 16, tzinfo=UTC)


@cache
def market() -> OpenedMarket:
    venue = kraken_venue(7, (COIN,))
    return open_market_in_memory(MarketSpec(start=FIRST_DAY, symbols=(COIN,), sessions=2, seed=7, venue=venue))


@given(st.sampled_from(["1Min", "5Min", "4Hour", "1Day"]), st.integers(1, 400), st.integers(1, 3000))
@settings(max_examples=6, deadline=None)
def test_bars_are_the_newest_that_had_ended_made_of_their_minutes(timeframe: str, depth: int, minutes: int) -> None:
    bars, until = PlayedBars(market()), BEGINS + timedelta(minutes=minutes)
    width = {"1Min": 1, "5Min": 5, "4Hour": 240, "1Day": 1440}[timeframe]
    ended = min(minutes, 2 * 1440) // width
    found = bars.closed(BarNeed(timeframe, depth), [COIN, "AAPL"], until)
    assert set(found) == ({COIN} if ended else set())
    for one in found.values():
        assert len(one) == min(depth, ended)
        assert one.starts[-1] == BEGINS.timestamp() + 60 * width * (ended - 1)
        newest = bars.closed(BarNeed("1Min", width), [COIN], BEGINS + timedelta(minutes=width * ended))[COIN]
        assert (one.open[-1], one.high[-1]) == (newest.open[0], max(newest.high))
        assert (one.low[-1], one.close[-1]) == (min(newest.low), newest.close[-1])


def test_daily_prices_are_those_of_the_minutes_of_sessions_that_had_ended() -> None:
    second = FIRST_DAY + timedelta(days=1)
    bars = PlayedBars(market()).closed(BarNeed("1Day", 2), [COIN], BEGINS + timedelta(days=2))[COIN]
    found = daily_prices(market(), BEGINS + timedelta(days=2), [COIN, "AAPL"])[COIN]
    assert found.closes == {FIRST_DAY: bars.close[0], second: bars.close[1]}
    assert found.opens[FIRST_DAY] == pytest.approx(bars.open[0], rel=0.01)
    assert found.opens[second] == bars.close[0]
    early = BEGINS + timedelta(days=2, minutes=-1)
    assert daily_prices(market(), early, [COIN])[COIN].closes == {FIRST_DAY: bars.close[0]}
    assert last_prices(market(), early) == {COIN: Decimal(str(bars.close[0]))}
    assert last_prices(market(), BEGINS) == {}


def test_run_at_a_venue_without_a_fund_is_compared_with_holding_its_universe() -> None:
    until = BEGINS + timedelta(days=2)
    settings = load(None, {}, {"universe": [COIN], "costs": {
        "taker_bps": 5, "maker_bps": 2, "slippage_bps": 5, "funding_day_bps": 10, "hold_s": 86_400,
    }}).settings  # fmt: skip
    made = SimpleNamespace(now=lambda: until, world=SimpleNamespace(rules=SimpleNamespace(universe=[COIN])))
    run: Any = SimpleNamespace(plan=SimpleNamespace(settings=settings, spec=market().spec), market=market(), made=made)
    kept, prices = benchmark_of(run), daily_prices(market(), until, [COIN])[COIN]
    grown = [0.999 * close / prices.opens[FIRST_DAY] for close in prices.closes.values()]
    assert [each.close for each in kept.prices] == pytest.approx(grown)
    assert [each.open for each in kept.prices] == pytest.approx([1.0, grown[0]])
    assert (kept.name, kept.problem) == ("1 coin", "")
    assert "for 0.10% of fees and slippage" in kept.how
    made.now = lambda: BEGINS
    assert "no session was played to its end" in benchmark_of(run).problem


def test_prices_of_contracts_are_those_that_were_played_up_to_their_ends() -> None:
    opened = open_market_in_memory(generated(date(2026, 12, 17), 2, "MES", "GC"))
    market, until = opened.market(), datetime(2026, 12, 18, 22, tzinfo=UTC)
    last = last_prices(opened, until)
    assert last["GCG7"] == market.grids["GCG7"].usd(market.day("GCG7", 1).bars[-1].close)
    # December's index ends in its last morning, and September's ended long ago.
    ended = market.day("MESZ6", 1).bars[-1]
    assert (ended.end_us, last["MESZ6"]) == (market.grids["MESZ6"].last_us, market.grids["MESZ6"].usd(ended.close))
    assert "MESU6" not in last
    bars = PlayedBars(opened).closed(BarNeed("1Day", 2), ["MESH7", "GCG7"], until)
    found = daily_prices(opened, until, ["MESH7", "GCG7"])
    assert {symbol: [*one.closes.values()] for symbol, one in found.items()} == {
        symbol: [*one.close] for symbol, one in bars.items()
    }
