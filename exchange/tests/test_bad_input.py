"""Whatever is sent, the answer is a documented 4xx in JSON, and the log stays whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tests.kit.app import KEYS, World, open_world

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["AAPL", "buy", "market", "limit", "day", "1", "NaN", "-0", "1e400"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
FIELDS = ("symbol", "side", "type", "time_in_force", "qty", "notional", "limit_price", "client_order_id",
          "order_class", "extended_hours", "position_intent", "stop_price")  # fmt: skip
ORDER = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}


@pytest.fixture(scope="module")
def lasting(new_folder: Any) -> World:
    world = open_world(new_folder(), to="open")
    world.tick(seconds=600)
    return world


@given(change=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_any_json_in_an_order_is_accepted_or_refused_as_documented(lasting: World, change: dict[str, Any]) -> None:
    before = len(lasting.events())
    answer = lasting.ask("POST", "/v2/orders", ORDER | change)
    assert answer.status in (200, 400, 403, 422)
    if answer.status != 200:
        assert {"code", "message"} <= set(answer.json)
    what = [event["event"] for event in lasting.events()[before:]]
    assert what[:2] == ["request", "order_accepted" if answer.status == 200 else "order_rejected"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"qty": NaN}'),
        b'{"qty": 1' + b"0" * 5000 + b"}",
        b'{"qty": 1e999999999999}',
        b"[" * 30_000,
        b'{"symbol": "' + b"A" * 100_000 + b'"}',
    ],
)
def test_body_that_is_not_an_order_is_refused_and_logged(world: World, body: bytes) -> None:
    answer = world.ask("POST", "/v2/orders", body)
    assert answer.status in (400, 422)
    assert isinstance(answer.json["message"], str)
    assert [event["event"] for event in world.events()] == ["created", "request", "order_rejected"]
    assert world.get("/v2/orders?status=all") == []


def test_strange_requests_survive_a_restart(new_folder: Any) -> None:
    folder = new_folder()
    first = open_world(folder)
    first.ask("POST", "/v2/orders", b'{"symbol": "\\ud800", "qty": 1\xff}')
    assert first.ask("POST", "/v2/orders", ORDER | {"client_order_id": "naïve \U0001f600 \ud800"}).status == 400
    first.ask("POST", "/v2/orders", ORDER | {"client_order_id": "naïve \U0001f600"})
    first.ask("DELETE", "/v2/orders/%2e%2e%2f")
    first.ask("DELETE", "/v2/positions/AAPL%00?qty=%ff&qty=1e9999")
    first.ask("POST", "/exchange/v1/tick", b'{"seconds": 1e400}')
    again = open_world(folder)
    assert again.events() == first.events()
    assert len(again.get("/v2/orders")) == 1


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v2/nothing", 404),
        ("POST", "/nothing", 404),
        ("PATCH", "/v2/orders/00000000-0000-4000-8000-000000000000", 404),
        ("PUT", "/v2/orders/00000000-0000-4000-8000-000000000000", 405),
        ("PUT", "/v2/account", 405),
        ("BREW", "/v2/account", 405),
        ("GET", "/v2/orders/not-a-uuid", 422),
        ("GET", "/v2/orders?limit=501", 422),
        ("GET", "/v2/orders?limit=ten", 422),
        ("GET", "/v2/orders?after=noon", 422),
        ("GET", "/v2/orders?status=half", 422),
        ("GET", "/v2/account/activities?page_size=101", 422),
        ("GET", "/v2/account/activities?page_token=none", 422),
        ("GET", "/v2/calendar?start=today", 422),
        ("GET", "/v2/assets/NONE", 404),
        ("GET", "/v2/stocks/bars?timeframe=1Min", 400),
        ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=5Month", 400),
        ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&limit=0", 400),
        ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&page_token=%%%", 400),
        ("GET", "/v2/stocks/bars?symbols=AAPL&timeframe=1Min&page_token=w7w", 400),
        ("GET", "/v2/stocks/snapshots", 400),
        ("GET", "/exchange/v1/log?limit=-1", 422),
    ],
)
def test_an_unknown_path_method_or_value_is_a_4xx_in_json(world: World, method: str, target: str, status: int) -> None:
    answer = world.ask(method, target)
    assert answer.status == status
    assert isinstance(json.loads(answer.body)["message"], str)


def test_unknown_parameters_are_ignored(world: World) -> None:
    assert world.get("/v2/orders?colour=red&nested=True") == []
    assert world.ask("GET", "/v2/account?x=%ff", headers=KEYS | {"Content-Type": "text/plain"}).status == 200
