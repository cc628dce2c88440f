"""Splits, dividends and new names in the data API: raw bars jump, adjusted ones do not, and names keep their past."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from exchange.tests.kit.app import World, open_world
from exchange.tests.kit.openapi import data_api

ACTIONS = "/exchange/v1/actions"
JSON = "application/json; charset=utf-8"


def acted(folder: Path, **action: object) -> World:
    """Return a market in whose night between two sessions a company acts, in the middle of the second one."""
    world = open_world(folder, to="2025-03-03T22:00:00Z")
    answer = world.ask("POST", ACTIONS, {"date": "2025-03-04", **action})
    assert answer.status == 200, answer
    world.tick(to="2025-03-04T18:00:00Z")
    return world


def days(world: World, symbol: str = "AAPL", **query: str) -> list[dict[str, Any]]:
    params = {"timeframe": "1Day", "start": "2025-03-01", **query}
    rows: list[dict[str, Any]] = world.get(f"/v2/stocks/{symbol}/bars?{urlencode(params)}")["bars"]
    return rows


@pytest.mark.parametrize(("kind", "new", "old"), [("forward_split", 4, 1), ("reverse_split", 1, 8)])
def test_a_split_is_undone_in_prices_and_volume(new_folder: Callable[[], Path], kind: str, new: int, old: int) -> None:
    world = acted(new_folder(), type=kind, symbol="AAPL", new_rate=new, old_rate=old)
    (before, after), (adjusted, same) = days(world), days(world, adjustment="split")
    assert same == after
    assert after["o"] * new / old == pytest.approx(before["c"], rel=0.05)
    for name in ("o", "h", "l", "c", "vw"):
        assert adjusted[name] == pytest.approx(before[name] * old / new, abs=2e-4)
    assert (adjusted["v"], adjusted["n"]) == (pytest.approx(before["v"] * new / old, abs=1), before["n"])
    assert days(world, adjustment="dividend,spin-off") == days(world)
    (week,) = days(world, timeframe="1Week", adjustment="all")
    assert week["l"] == min(adjusted["l"], after["l"])


def test_a_dividend_lowers_earlier_prices_and_leaves_volume(new_folder: Callable[[], Path]) -> None:
    world = acted(new_folder(), type="cash_dividend", symbol="AAPL", rate="2.5")
    (before, after), (adjusted, same) = days(world), days(world, adjustment="dividend")
    assert same == after
    assert adjusted["c"] == pytest.approx(before["c"] - 2.5, abs=1e-3)
    assert (adjusted["v"], adjusted["n"]) == (before["v"], before["n"])
    assert days(world, adjustment="split") == days(world)


def test_a_new_name_has_the_whole_past_and_the_old_one_its_own(new_folder: Callable[[], Path]) -> None:
    world = acted(new_folder(), type="name_change", symbol="AAPL", new_symbol="APPL")
    both, first = days(world, "APPL"), days(world, "AAPL")
    assert [bar["t"] for bar in both] == ["2025-03-03T05:00:00Z", "2025-03-04T05:00:00Z"]
    assert first == both[:1]
    assert days(world, "APPL", asof="-") == both[1:]
    assert days(world, "APPL", asof="2025-03-03") == both[1:]
    assert days(world, "AAPL", asof="2025-03-03") == both
    assert world.get("/v2/stocks/AAPL/trades/latest")["trade"]["t"] < "2025-03-04T09"
    assert world.get("/v2/stocks/APPL/trades/latest")["trade"]["t"] == "2025-03-04T17:59:59.999000Z"


def test_an_announced_name_has_no_data_before_its_day(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder(), to="2025-03-03T22:00:00Z")
    action = {"date": "2025-03-04", "type": "name_change", "symbol": "AAPL", "new_symbol": "APPL"}
    assert world.ask("POST", ACTIONS, action).status == 200
    assert days(world, "APPL") == []
    assert world.ask("GET", "/v2/stocks/APPL/quotes/latest").status == 404
    assert len(days(world, "AAPL")) == 1


@pytest.mark.parametrize(
    "terms",
    [
        {"type": "cash_dividend", "rate": "0.25"},
        {"type": "forward_split", "new_rate": 3, "old_rate": 2},
        {"type": "reverse_split", "new_rate": 1, "old_rate": 10},
        {"type": "name_change", "new_symbol": "APPL"},
        {"type": "cash_merger", "rate": "250"},
    ],
)
def test_every_kind_of_action_is_shown_as_documented(new_folder: Callable[[], Path], terms: dict[str, Any]) -> None:
    world = acted(new_folder(), symbol="AAPL", **terms)
    target = "/v1/corporate-actions?start=2025-03-01&end=2025-12-31"
    answer = world.ask("GET", target)
    assert data_api().problems("GET", target, answer.status, JSON, answer.body) == []
    (shown,) = answer.json["corporate_actions"][f"{terms['type']}s"]
    assert shown["process_date"] >= "2025-03-04"
    for query in (f"types={terms['type']}", "symbols=AAPL,SPY", "region=all"):
        assert world.get(f"{target}&{query}") == answer.json
    assert world.get(f"/v1/corporate-actions?ids={shown['id']}") == answer.json
    for query in ("types=spin_off", "symbols=SPY", "region=non_us", "cusips=1", "end=2025-03-03"):
        assert world.get(f"{target}&{query}")["corporate_actions"] == {}


def test_actions_are_paged_in_order_of_their_process_date(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder())
    for symbol in ("SPY", "AAPL", "ZAAC"):
        for number in (1, 2):
            action = {"type": "cash_dividend", "symbol": symbol, "rate": str(number), "date": f"2025-03-0{5 - number}"}
            assert world.ask("POST", ACTIONS, action).status == 200
    for sort in ("asc", "desc"):
        target = f"/v1/corporate-actions?start=2025-03-01&end=2025-12-31&sort={sort}"
        whole = world.get(target)["corporate_actions"]["cash_dividends"]
        first = world.get(f"{target}&limit=4")
        rest = world.get(f"{target}&limit=4&page_token={first['next_page_token']}")
        assert rest["next_page_token"] is None
        assert [row for page in (first, rest) for row in page["corporate_actions"]["cash_dividends"]] == whole
        dates = [row["process_date"] for row in whole]
        assert (dates, len(dates)) == (sorted(dates, reverse=sort == "desc"), 6)
