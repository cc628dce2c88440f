"""The free data plan: the consolidated feed is a quarter of an hour late, and everything else is as it was."""

from datetime import date

import pytest

from exchange.tests.kit.app import World, open_world
from papervenue.market.spec import MarketSpec
from papervenue.process import create

NOW, BEFORE = "2025-03-03T18:00:00Z", "2025-03-03T17:45:00Z"
RECENT = {"code": 42210000, "message": "subscription does not permit querying recent SIP data"}
BARS = "/v2/stocks/AAPL/bars?timeframe=1Min&limit=10000"


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("free")
    create(folder, MarketSpec(symbols=("AAPL",), sessions=1, start=date(2025, 3, 3), data_plan="free"))
    return open_world(folder, to=NOW)


def times(world: World, query: str = "") -> list[str]:
    return [bar["t"] for bar in world.get(BARS + query)["bars"]]


@pytest.mark.parametrize("kind", ["bars?timeframe=1Day&", "trades?", "quotes?", "auctions?"])
@pytest.mark.parametrize("end", ["2025-03-03T17:45:00.000001Z", NOW, "2025-03-03"])
def test_a_recent_end_on_sip_is_refused(free: World, kind: str, end: str) -> None:
    answer = free.ask("GET", f"/v2/stocks/AAPL/{kind}feed=sip&end={end}")
    assert (answer.status, answer.json) == (403, RECENT)


@pytest.mark.parametrize("kind", ["bars/latest", "trades/latest", "quotes/latest", "snapshots"])
def test_the_latest_of_sip_is_refused(free: World, kind: str) -> None:
    answer = free.ask("GET", f"/v2/stocks/{kind}?symbols=AAPL&feed=sip")
    assert (answer.status, answer.json) == (403, RECENT)
    assert free.get(f"/v2/stocks/{kind}?symbols=AAPL&feed=delayed_sip")


def test_without_an_end_sip_ends_a_quarter_of_an_hour_ago(free: World) -> None:
    assert times(free, "&feed=sip&start=2025-03-03")[-1] == "2025-03-03T17:44:00Z"
    assert times(free, f"&feed=sip&start=2025-03-03&end={BEFORE}") == times(free, "&feed=sip&start=2025-03-03")


def test_a_longer_bar_on_sip_has_nothing_recent_in_it(free: World) -> None:
    (late,) = free.get("/v2/stocks/AAPL/bars?timeframe=1Day&start=2025-03-03&feed=sip")["bars"]
    assert late["c"] == free.get(f"{BARS}&feed=sip&start=2025-03-03")["bars"][-1]["c"]


def test_the_default_is_the_best_feed_of_the_plan(free: World) -> None:
    assert times(free)[-1] == times(free, f"&feed=iex&end={NOW}")[-1] == "2025-03-03T17:59:00Z"
    assert free.get("/v2/stocks/AAPL/trades/latest")["trade"]["x"] == "V"
    assert free.get("/v2/stocks/AAPL/auctions")["auctions"][0]["o"]


def test_a_paid_plan_has_sip_as_it_happens(world: World) -> None:
    world.tick(to=NOW)
    assert times(world)[-1] == times(world, f"&feed=sip&end={NOW}")[-1] == "2025-03-03T17:59:00Z"
    assert world.get("/v2/stocks/AAPL/trades/latest")["trade"]["x"] == "Q"
