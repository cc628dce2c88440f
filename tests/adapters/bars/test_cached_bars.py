"""Stored bars are read without a source: as they were served when they were fetched, and nothing is written."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.adapters.bars.market import DIVIDEND, FIRST, LAST, SPLIT, MadeUpBars, sessions
from tests.kit.rows import NOW
from tests.kit.values import VENUE_DAY
from tradebot.adapters.bars.cached_bars import RestingBars
from tradebot.adapters.bars.read_through import StoredBars
from tradebot.adapters.bars.store import SqliteBars
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.model.view import BarNeed

UNTIL = sessions(FIRST, LAST)[8].close + timedelta(hours=2)


@pytest.mark.parametrize("timeframe", ["1Day", "1Min", "5Min"])
@pytest.mark.parametrize("adjusted", [True, False])
def test_bars_that_were_fetched_are_served_again_without_a_source(
    tmp_path: Path, timeframe: str, adjusted: bool
) -> None:
    source, need = MadeUpBars(), BarNeed(timeframe, 6, adjusted=adjusted)
    source.announced = {"AAPL": (DIVIDEND, SPLIT)}
    kept = StoredBars(lambda: SqliteBars(tmp_path, MemoryEvents(), NOW), lambda: source, sessions, VENUE_DAY)
    then = kept.closed(need, ["AAPL", "MSFT"], UNTIL)
    asked = kept.store.asked("AAPL", "1Day", source.name)
    kept.close()
    resting = RestingBars(lambda: SqliteBars(tmp_path, MemoryEvents(), NOW), sessions, VENUE_DAY)
    assert resting.closed(need, ["AAPL", "MSFT"], UNTIL) == then
    assert len(then["AAPL"]) == 6
    assert "NEW" not in resting.closed(need, ["AAPL", "NEW"], UNTIL + timedelta(days=2))
    assert resting.store.asked("AAPL", "1Day", source.name) == asked, "looking wrote something"
    resting.close()
