"""The folder of finished backtests: names, trials, and what is in the way."""

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from papervenue.market.spec import MarketSpec
from tests.lab.backtest.roads import Stub
from tradebot.adapters.state.evidence import Trial
from tradebot.app.settings import load
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.lab.backtest.results import Results, benchmark_of, read_result
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.model.evidence import Variant, VariantKind

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
