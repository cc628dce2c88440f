"""Keys and accounts: who is let in, whose orders are whose, and what a reset takes away."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import KEYS, World, open_world

PATHS = ["/v2/account", "/v2/orders", "/v2/positions", "/v2/clock", "/v2/stocks/snapshots?symbols=AAPL"]


def keys(name: str, secret: str | None = None) -> dict[str, str]:
    return {"APCA-API-KEY-ID": name, "APCA-API-SECRET-KEY": name if secret is None else secret}


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def open_account(world: World, name: str = "alice", **fields: Any) -> dict[str, Any]:
    answer = world.ask("POST", "/exchange/v1/accounts", {"name": name, **fields})
    assert answer.status == 200, answer
    opened: dict[str, Any] = answer.json
    return opened


@pytest.fixture(scope="module")
def lasting(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "shown",
    [
        {},
        keys("nobody"),
        keys("sandbox", "wrong"),
        keys("sandbox", ""),
        keys("", "sandbox"),
        keys("SANDBOX"),
        keys("sandbox", "söndbox"),
        {"APCA-API-KEY-ID": "sandbox"},
        {"Authorization": "Bearer nobody"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic"},
        {"Authorization": "Basic %%%"},
        basic("sandbox"),
        basic("sandbox:wrong"),
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
    ],
)
def test_request_with_a_wrong_key_is_answered_401(lasting: World, path: str, shown: dict[str, str]) -> None:
    encoded = {name: value.encode().decode("latin-1") for name, value in shown.items()}
    answer = lasting.ask("GET", path, headers=encoded)
    assert (answer.status, answer.json) == (401, {"message": "unauthorized."})


@pytest.mark.parametrize(
    "shown",
    [
        keys("sandbox"),
        basic("sandbox:sandbox"),
        {**basic("x:y"), **keys("sandbox")},
        {"Authorization": "Bearer sandbox"},
    ],
)
def test_a_key_is_shown_in_alpaca_s_headers_or_as_basic_or_bearer_authentication(
    world: World, shown: dict[str, str]
) -> None:
    assert world.ask("GET", "/v2/account", headers=shown).json["account_number"].startswith("SBX")


def test_accounts_trade_independently(world: World) -> None:
    alice = open_account(world, cash=5000)
    world.tick(to="open")
    assert world.order("AAPL", "buy", 2, headers=keys("alice"), client_order_id="same").status == 200
    assert world.order("SPY", "buy", 1, client_order_id="same").status == 200
    world.tick(seconds=60)
    positions = {name: world.ask("GET", "/v2/positions", headers=shown).json for name, shown in
            {"alice": keys("alice"), "main": KEYS}.items()}  # fmt: skip
    assert {name: [row["symbol"] for row in rows] for name, rows in positions.items()} == {
        "alice": ["AAPL"],
        "main": ["SPY"],
    }
    account = world.ask("GET", "/v2/account", headers=keys("alice")).json
    assert account["account_number"] == alice["account_number"] != world.get("/v2/account")["account_number"]
    assert float(account["cash"]) < 5000
    listed = world.get("/exchange/v1/accounts")
    assert [(row["name"], row["key"], row["orders"], row["positions"]) for row in listed] == [
        ("main", "sandbox", 1, 1),
        ("alice", "alice", 1, 1),
    ]


def test_account_is_opened_only_once_and_their_number_is_limited(world: World) -> None:
    open_account(world)
    assert world.ask("POST", "/exchange/v1/accounts", {"name": "alice"}).status == 422
    for number in range(98):
        open_account(world, f"a{number}")
    assert world.ask("POST", "/exchange/v1/accounts", {"name": "last"}).status == 422


def test_reset_replaces_the_key_s_account(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    world = open_world(folder)
    before = world.get("/v2/account")
    world.tick(to="open")
    world.order("AAPL", "buy", 5)
    world.order("SPY", "buy", 1, limit_price="1.00")
    world.tick(seconds=60)
    reply = world.ask("POST", "/exchange/v1/reset", {}).json
    assert reply["gone"]["account_number"] == before["account_number"] != reply["account_number"]
    assert (reply["gone"]["positions"], reply["gone"]["open_orders"], reply["gone"]["orders"]) == (1, 1, 2)
    after = world.get("/v2/account")
    assert (after["account_number"], after["cash"], after["equity"]) == (reply["account_number"], "100000", "100000")
    assert world.get("/v2/orders?status=all") == world.get("/v2/positions") == []
    assert world.get("/exchange/v1/status")["account_number"] == reply["account_number"]
    world.tick(seconds=600)
    assert open_world(folder).get("/v2/account") == world.get("/v2/account")


def test_reset_with_cash_uses_it_for_later_resets_too(world: World) -> None:
    open_account(world, cash=500)
    assert world.ask("POST", "/exchange/v1/reset", {"account": "alice"}).json["cash"] == "500"
    assert world.ask("POST", "/exchange/v1/reset", {"account": "alice", "cash": 750}).json["cash"] == "750"
    assert world.ask("POST", "/exchange/v1/reset", {"account": "alice"}).json["cash"] == "750"


def test_flow_api_refuses_an_empty_key_and_control_needs_none(world: World) -> None:
    flow = world.ask("GET", "/api/darkpool/AAPL", headers={"Authorization": "Bearer "})
    assert flow.status == 401
    assert not [name for name in flow.headers if name.startswith("x-uw")]
    assert world.ask("GET", "/exchange/v1/status", headers={}).status == 200
