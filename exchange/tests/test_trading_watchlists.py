"""Watchlists: everything that can be done to one, by id and by name, and what is refused."""

from typing import Any

import pytest

from exchange.tests.kit.app import World

NOWHERE = "00000000-0000-4000-8000-000000000000"


def create_watchlist(world: World, name: str = "my list", **fields: Any) -> Any:
    answer = world.ask("POST", "/v2/watchlists", {"name": name, **fields})
    assert answer.status == 200, answer
    return answer.json


def symbols(listed: Any) -> list[str]:
    return [asset["symbol"] for asset in listed["assets"]]


def test_a_watchlist_keeps_its_symbols_in_their_order(world: World) -> None:
    listed = create_watchlist(world, symbols=["SPY", None, "AAPL"])
    assert symbols(listed) == ["SPY", "AAPL"]
    assert world.get(f"/v2/watchlists/{listed['id']}") == listed
    assert world.get("/v2/watchlists:by_name?name=my%20list") == listed
    (row,) = world.get("/v2/watchlists")
    assert row == {name: value for name, value in listed.items() if name != "assets"}
    assert listed["account_id"] == world.get("/v2/account")["id"]


@pytest.mark.parametrize("by_name", [False, True])
def test_a_watchlist_is_changed_by_id_or_by_name(world: World, by_name: bool) -> None:
    one = "/v2/watchlists/" + create_watchlist(world, symbols=["SPY"])["id"]
    target = "/v2/watchlists:by_name?name=my+list" if by_name else one
    world.tick(seconds=5)
    appended = world.ask("POST", target, {"symbol": "AAPL"}).json
    assert symbols(appended) == ["SPY", "AAPL"]
    assert appended["updated_at"] > appended["created_at"]
    assert symbols(world.ask("DELETE", f"{one}/SPY").json) == ["AAPL"]
    assert symbols(world.ask("PUT", target, {"name": "my list", "symbols": ["ZAAC"]}).json) == ["ZAAC"]
    assert symbols(world.ask("PUT", target, {"name": "other"}).json) == ["ZAAC"]
    assert world.ask("DELETE", target.replace("my+list", "other")).status == 204
    assert world.get("/v2/watchlists") == []


def test_watchlists_survive_a_restart(new_folder: Any) -> None:
    from exchange.tests.kit.app import open_world

    folder = new_folder()
    listed = create_watchlist(open_world(folder), symbols=["SPY"])
    assert open_world(folder).get(f"/v2/watchlists/{listed['id']}") == listed
