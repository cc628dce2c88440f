"""Bars over many days: weeks and months are their days put together, so far as those are over."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import World, open_world
from papervenue.market.spec import MarketSpec
from papervenue.process import create

BARS = "/v2/stocks/bars?symbols=AAPL&start=2025-01-01&timeframe="
WEEKS = ("01-13T05", "01-20T05", "01-27T05", "02-03T05", "02-10T05", "02-17T05", "02-24T05", "03-03T05")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a market from Thursday 2025-02-27 to Wednesday 2025-04-02, on its last day at noon."""
    folder: Path = tmp_path_factory.mktemp("market")
    create(folder, MarketSpec(symbols=("AAPL",), sessions=25, start=date(2025, 2, 27)))
    return open_world(folder, to="2025-04-02T16:00:00Z")


def bars(world: World, timeframe: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = world.get(BARS + timeframe)["bars"]["AAPL"]
    return rows


@pytest.mark.parametrize(
    ("timeframe", "stamps"),
    [
        ("1Week", ["01-06T05", *WEEKS, "03-10T04", "03-17T04", "03-24T04", "03-31T04"]),
        ("1Month", ["01-01T05", "02-01T05", "03-01T05", "04-01T04"]),
        ("3M", ["01-01T05", "04-01T04"]),
        ("12Month", ["01-01T05"]),
    ],
)
def test_a_week_or_month_is_stamped_at_its_first_midnight(world: World, timeframe: str, stamps: list[str]) -> None:
    assert [bar["t"] for bar in bars(world, timeframe)] == [f"2025-{stamp}:00:00Z" for stamp in stamps]


def test_a_month_is_its_days_and_the_one_in_progress_its_days_so_far(world: World) -> None:
    for month in bars(world, "1Month"):
        days = [day for day in bars(world, "1Day") if day["t"][:7] == month["t"][:7]]
        assert (month["o"], month["c"]) == (days[0]["o"], days[-1]["c"])
        assert (month["h"], month["l"]) == (max(day["h"] for day in days), min(day["l"] for day in days))
        assert month["v"] == sum(day["v"] for day in days)


def test_weeks_are_paged_and_turned_round_like_any_bars(world: World) -> None:
    query = BARS + "1Week&limit=7&sort=desc"
    first = world.get(query)
    second = world.get(f"{query}&page_token={first['next_page_token']}")
    assert first["bars"]["AAPL"] + second["bars"]["AAPL"] == bars(world, "1Week")[::-1]
    assert second["next_page_token"] is None
