"""From which session on strategies have the bars that they need."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from papervenue.market.spec import MarketSpec
from tests.lab.backtest.roads import Stub
from tradebot.app.settings import load
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.setup import MissingBars, missing_bars
from tradebot.model.view import BarNeed, Needs

SETTINGS = load(None, {}, {"universe": ["AAPL", "MSFT"]}).settings


def needing(need: BarNeed) -> Stub:
    return Stub("patient", needs=Needs(bars=(need,)))


@pytest.fixture
def market(tmp_path: Path) -> OpenedMarket:
    first, rows = date(2025, 3, 3), ["date,symbol,open,high,low,close,volume"]
    for day in range(5):
        rows += [f"{first + timedelta(days=day)},{name},9,9,9,9,9" for name in ("AAPL", "MSFT")[: 1 + (day > 1)]]
    (tmp_path / "days.csv").write_text("\n".join(rows))
    return open_market_in_memory(MarketSpec(source="daily", path=str(tmp_path / "days.csv"), start=first, sessions=5))


def test_each_symbol_waits_for_its_own_bars(market: OpenedMarket) -> None:
    found = missing_bars(SETTINGS, [needing(BarNeed("1Day", 2))], market)
    assert [(one.symbol, one.since) for one in found] == [
        (None, date(2025, 3, 5)),
        ("AAPL", date(2025, 3, 5)),
        ("MSFT", date(2025, 3, 7)),
    ]
    assert missing_bars(SETTINGS, [needing(BarNeed("1Day", 9))], market)[0] == MissingBars(
        "patient", None, 9, "1Day", None
    )
    assert missing_bars(SETTINGS, [needing(BarNeed("1Day", 9, least=2))], market) == tuple(found)


def test_strategy_without_needs_waits_for_nothing(market: OpenedMarket) -> None:
    quiet = needing(BarNeed("1Day", 1, symbols=("AAPL",)))
    assert [one.since for one in missing_bars(SETTINGS, [quiet], market)] == [date(2025, 3, 4)]
    made = open_market_in_memory(MarketSpec(symbols=("AAPL", "MSFT"), start=date(2025, 3, 3), sessions=2))
    assert missing_bars(SETTINGS, [needing(BarNeed("1Day", 100)), needing(BarNeed("5Min", 3))], made) == ()
