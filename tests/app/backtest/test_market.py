"""A market in memory: the bars, names and actions of the same market in an exchange's folder."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from tests.exchange.worlds import World
from tradebot.app.backtest.market import open_market_in_memory
from tradebot.errors import ExitCode, OperatorError
from tradebot.exchange.market.spec import MarketSpec
from tradebot.model.values import replace

GENERATED = MarketSpec(symbols=("AAPL", "NFLX"), sessions=3, start=date(2026, 11, 24), seed=22, corporate_actions=True)
RECORDED = MarketSpec(source="csv", path="bars.csv", bar_stamp="start", start=date(2025, 3, 3), sessions=2)
BARS = """ts,symbol,open,high,low,close,volume
2025-03-03 09:30,AAPL,10,10.5,9.75,10.25,1000
2025-03-03 09:31,AAPL,10.25,10.5,10,10.5,500
2025-03-03 17:00,AAPL,10.5,10.5,10.5,10.5,5
2025-03-04 09:30,MSFT,20,20,20,20,7
2025-03-04 09:30,AAPL,5,5,x,5,7
"""
ACTIONS = """type,symbol,date,rate,new_rate,old_rate,payable_date
forward_split,AAPL,2025-03-04,,2,1,
"""
DAYS = """date,symbol,open,high,low,close,volume,dividends,stock_splits
2025-02-27,AAPL,97,102,97,100,1000,0,0
2025-02-28,AAPL,98,98,96,97,2000,0.3333,0
2025-03-03,AAPL,99.5,101,98.5,99,4000,1.25,0
2025-03-04,AAPL,101,103,101,102,6000,0.25,0.2
"""


@pytest.fixture
def recorded(tmp_path: Path) -> MarketSpec:
    (tmp_path / "bars.csv").write_text(BARS)
    (tmp_path / "bars.actions.csv").write_text(ACTIONS)
    return replace(RECORDED, path=str(tmp_path / "bars.csv"))


@pytest.fixture
def daily(tmp_path: Path) -> MarketSpec:
    (tmp_path / "days.csv").write_text(DAYS)
    return MarketSpec(source="daily", path=str(tmp_path / "days.csv"), start=date(2025, 3, 3), sessions=2)


@pytest.mark.parametrize("source", ["generated", "recorded", "daily"])
def test_opened_market_equals_that_of_the_exchanges_folder(
    source: str, recorded: MarketSpec, daily: MarketSpec, new_world: Callable[[MarketSpec], World]
) -> None:
    spec = {"generated": GENERATED, "recorded": recorded, "daily": daily}[source]
    kept, opened = new_world(spec).exchange.market, open_market_in_memory(spec)
    held = opened.market()
    assert (held.symbols, list(held.actions)) == (kept.symbols, list(kept.actions))
    assert held.calendar.to_rows() == kept.calendar.to_rows()
    assert len(list(kept.actions)) > 0
    for symbol in kept.symbols:
        for index in range(spec.sessions):
            assert list(held.day(symbol, index).bars) == list(kept.day(symbol, index).bars)
            assert list(held.extended(symbol, index).bars) == list(kept.extended(symbol, index).bars)
        assert [held.history_day(symbol, n) for n in (1, 2)] == [kept.history_day(symbol, n) for n in (1, 2)]


def test_run_that_renames_a_company_leaves_the_opened_market_unchanged() -> None:
    opened = open_market_in_memory(replace(GENERATED, start=date(2026, 11, 17), sessions=8))
    first = opened.market()
    for action in opened.actions:
        if action.new_symbol:
            first.relist(action)
    assert first.symbols != opened.market().symbols == GENERATED.symbols


def test_bad_rows_are_reported_but_not_those_of_other_days(recorded: MarketSpec, daily: MarketSpec) -> None:
    assert open_market_in_memory(recorded).unused == "1 not a number (first in line 6)"
    assert open_market_in_memory(daily).unused == ""
    file = Path(str(daily.path))
    file.write_text(DAYS + "2025-03-04,AAPL,101,103,101,102,6000,0,0\n")
    assert open_market_in_memory(daily).unused == "1 duplicate (first in line 6)"


def test_missing_market_file_is_an_error_with_a_hint(recorded: MarketSpec) -> None:
    with pytest.raises(OperatorError, match="no such file") as raised:
        open_market_in_memory(replace(recorded, path="nowhere.csv"))
    assert raised.value.code is ExitCode.USAGE
    assert raised.value.hint
