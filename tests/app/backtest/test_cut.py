"""A market that is cut off has nothing of later, and everything of before."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.app.backtest.lookahead import cut
from tradebot.app.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.exchange.market.spec import MarketSpec
from tradebot.exchange.times import MINUTE
from tradebot.model.values import replace

MADE = open_market_in_memory(MarketSpec(symbols=("AAPL",), sessions=3, start=date(2025, 3, 3), corporate_actions=True))


@given(st.integers(0, 2), st.integers(-60, 460))
def test_cut_keeps_ended_bars_only(session: int, minute: int) -> None:
    at_us = MADE.calendar.market[session].open_us + minute * MINUTE
    left = cut(MADE, at_us)
    for index in range(3):
        for kind in ("bars", "extended"):
            whole = getattr(MADE.source, kind)("AAPL", index)
            assert getattr(left.source, kind)("AAPL", index) == tuple(bar for bar in whole if bar.end_us <= at_us)
    assert left.source.history_close("AAPL", 1) == MADE.source.history_close("AAPL", 1)
    assert all(min(action.declared_us, action.at_us) <= at_us for action in left.actions)
    assert left.spec == MADE.spec


@pytest.fixture
def days(tmp_path: Path) -> OpenedMarket:
    first = date(2025, 3, 3)
    rows = [
        f"{first + timedelta(days=day)},AAPL,{100 + day},{104 + day},{99 + day},{102 + day},1000" for day in range(5)
    ]
    (tmp_path / "days.csv").write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]))
    spec = MarketSpec(source="daily", path=str(tmp_path / "days.csv"), start=first, sessions=5)
    return open_market_in_memory(spec)


def test_cut_keeps_only_the_open_of_an_unfinished_day(days: OpenedMarket) -> None:
    session = days.calendar.market[2]
    before, after = (cut(days, session.open_us + minutes * MINUTE) for minutes in (0, 7))
    assert [len(before.source.bars("AAPL", index)) for index in range(5)] == [2, 2, 0, 0, 0]
    first, last = after.source.bars("AAPL", 2)
    assert first == days.source.bars("AAPL", 2)[0]
    assert (last.high, last.low, last.close) == (first.open, first.open, first.open)
    assert cut(days, session.close_us).source.bars("AAPL", 2) == days.source.bars("AAPL", 2)
    assert cut(days, session.close_us).source.bars("AAPL", 3) == ()


def test_cut_keeps_a_day_whole_that_is_shown_at_once(days: OpenedMarket, tmp_path: Path) -> None:
    shown = open_market_in_memory(replace(days.spec, day_prices="close"))
    session = shown.calendar.market[2]
    assert cut(shown, session.open_us + MINUTE).source.bars("AAPL", 2) == shown.source.bars("AAPL", 2)
    assert cut(shown, session.open_us).source.bars("AAPL", 2) == ()
