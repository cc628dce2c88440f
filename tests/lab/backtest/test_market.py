"""A market in memory: the bars, names and actions of the same market in an exchange's folder."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exchange.tests.kit.app import World
from papervenue.market.spec import MarketSpec
from papervenue.times import MINUTE
from tests.kit.backtest.playing import generated, lines_of, opened_from, written
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.model.struct_tools import replace

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


@pytest.mark.parametrize(("zone", "is_refused"), [("America/New_York", False), ("UTC", True), ("Europe/London", True)])
@pytest.mark.parametrize("month", [3, 6])
def test_minutes_that_fit_the_sessions_in_another_time_zone_are_refused(
    tmp_path: Path, zone: str, month: int, *, is_refused: bool
) -> None:
    opens = datetime(2025, month, 3, 9, 30, tzinfo=ZoneInfo("America/New_York"))
    at = (opens + timedelta(days=day, minutes=minute) for day in range(2) for minute in range(390))
    rows = (f"{one.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M},AAPL,10,10,10,10,100\n" for one in at)
    (tmp_path / "bars.csv").write_text("ts,symbol,open,high,low,close,volume\n" + "".join(rows))
    spec = replace(RECORDED, path=str(tmp_path / "bars.csv"), start=date(2025, month, 3), sessions=2)
    if is_refused:
        with pytest.raises(
            OperatorError, match=r"the times of AAPL can.t be right: .* would fit the sessions if they were"
        ):
            open_market_in_memory(spec)
    else:
        assert open_market_in_memory(spec).symbols == ("AAPL",)


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
    Path(str(daily.path)).write_text(DAYS + "2025-03-04,AAPL,101,103,101,102,6000,0,0\n")
    assert open_market_in_memory(daily).unused == "1 duplicate (first in line 6)"


def test_missing_market_file_is_an_error_with_a_hint(recorded: MarketSpec) -> None:
    with pytest.raises(OperatorError, match="no such file") as raised:
        open_market_in_memory(replace(recorded, path="nowhere.csv"))
    assert raised.value.code is ExitCode.USAGE
    assert raised.value.hint


CONTRACTS = generated(date(2026, 11, 26), 2, "MES", "GC", "6E")
"""Thanksgiving and the day after it, on which each group of products has other hours."""
FRONT = ("MESZ6", "GCG7", "6EZ6")


@pytest.fixture
def contracts(tmp_path: Path) -> MarketSpec:
    """Return a market of contracts that was written down with the session before it, and is read."""
    market = open_market_in_memory(CONTRACTS).market()
    return opened_from(written(tmp_path / "bars.csv", lines_of(market, FRONT, (-1, 0, 1))), CONTRACTS).spec


def test_generated_contracts_have_the_bars_of_the_exchanges_folder(new_world: Callable[[MarketSpec], World]) -> None:
    kept, held = new_world(CONTRACTS).exchange.market, open_market_in_memory(CONTRACTS).market()
    assert held.symbols == kept.symbols
    for symbol in FRONT:
        assert held.calendars[symbol].to_rows() == kept.calendars[symbol].to_rows()
        for index in (-1, 0, 1):
            assert held.day(symbol, index).bars == kept.day(symbol, index).bars


def test_contracts_of_a_file_have_the_bars_that_were_written_in_memory_and_in_an_exchanges_folder(
    contracts: MarketSpec, new_world: Callable[[MarketSpec], World]
) -> None:
    opened, market = open_market_in_memory(contracts), open_market_in_memory(CONTRACTS).market()
    assert opened.unused == ""
    for held in (opened.market(), new_world(contracts).exchange.market):
        assert (held.symbols, held.past_minutes) == (market.symbols, 1)
        for symbol in FRONT:
            for index in (-1, 0, 1):
                assert list(held.day(symbol, index).bars) == list(market.day(symbol, index).bars)
            assert held.history_day(symbol, 2) is None
        assert held.price("MESU6", held.calendar.last_close_us) is None


def test_file_of_contracts_is_read_once_until_it_changes(contracts: MarketSpec) -> None:
    first, other = (open_market_in_memory(replace(contracts, seed=seed)) for seed in (1, 2))
    assert other.source is first.source
    assert (first.spec.seed, other.spec.seed) == (1, 2)
    file = Path(str(contracts.path))
    file.write_text(file.read_text() + "2026-11-27T15:00:00Z,MESZ6,1,1.1,1,1,7\n")
    assert open_market_in_memory(contracts).unused == "1 price between two ticks (first in line 11447)"


def test_market_of_contracts_can_have_another_future(contracts: MarketSpec) -> None:
    for opened in map(open_market_in_memory, (contracts, CONTRACTS)):
        at_us = opened.calendar.market[1].open_us + 60 * MINUTE
        turned = opened.with_other_future(at_us)
        assert turned.spec.other_us == at_us
        own, other = (one.market().day("MESZ6", 1).bars for one in (opened, turned))
        assert other[:60] == own[:60]
        assert not any(one.close == another.close for one, another in zip(own[60:70], other[60:70], strict=True))
