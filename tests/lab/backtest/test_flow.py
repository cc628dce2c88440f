"""Flow straight from the exchange's feed: the pages that arrive over its API."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from exchange.tests.kit.app import World
from papervenue.market.spec import MarketSpec
from papervenue.times import rfc3339, to_datetime
from tests.lab.backtest.roads import road_to
from tradebot.errors import OperatorError
from tradebot.lab.backtest.flow import EngineFlow
from tradebot.model.struct_tools import replace
from tradebot.signals.kinds import in_order, kind_names

SYMBOLS = ("AAPL", "SPY", "XOM")
SPEC = MarketSpec(symbols=SYMBOLS, sessions=2, start=date(2025, 3, 3), edge=0.4)
KINDS = tuple(in_order(kind_names(), {}))
ABOUT = {True: (None,), False: ("AAPL", "NOPE")}


@pytest.mark.parametrize("minutes", [-15, 47, 26 * 60])
def test_every_kind_of_facts_is_the_apis(
    minutes: int, new_world: Callable[[MarketSpec], World], tmp_path: Path
) -> None:
    world, pages = new_world(SPEC), 0
    flow = EngineFlow(world.engine, SPEC)
    world.tick(to=rfc3339(world.engine.market.calendar.market[0].open_us + minutes * 60_000_000))
    with road_to(world, tmp_path) as road:
        for kind in KINDS:
            about = ("Energy",) if kind.scope.name == "SECTOR" else ABOUT[kind.market_wide]
            for symbol in about:
                straight, over = (source.fetch(kind, symbol, date(2025, 3, 3)) for source in (flow, road.flow))
                assert repr(straight) == repr(replace(over, body=b"")), kind.name
                pages += bool(straight.rows)
    assert flow.calls_left() is None
    assert pages > 20 or minutes < 0
    assert to_datetime(world.engine.now_us) == straight.told_at


def test_captures_that_cannot_be_read_are_an_error(tmp_path: Path, new_world: Callable[[MarketSpec], World]) -> None:
    (tmp_path / "flow-alerts.json").write_text("{")
    with pytest.raises(OperatorError):
        EngineFlow(new_world(SPEC).engine, MarketSpec(symbols=SYMBOLS, start=SPEC.start, uw_folder=str(tmp_path)))
