"""What clients see of HTTP itself: headers, methods, paths written in other ways, and the paths that are left out."""

import re
from typing import Any

import pytest

from exchange.tests.kit.app import World
from exchange.tests.kit.openapi import trading_api
from papervenue.faces.unsupported_paths import LEFT_OUT, UnsupportedPath


def test_every_answer_has_a_request_id_of_its_own_and_says_what_it_is(world: World) -> None:
    answers = [world.ask("GET", target) for target in ("/v2/clock", "/v2/clock", "/v2/nothing", "/v2/orders/x")]
    numbers = {answer.headers["x-request-id"] for answer in answers}
    assert len(numbers) == 4
    assert all(re.fullmatch("[0-9a-f]{32}", number) for number in numbers)
    assert {answer.headers["content-type"] for answer in answers} == {"application/json; charset=utf-8"}


def test_an_answer_without_a_body_names_no_content_type(world: World) -> None:
    order = world.order("AAPL", "buy", 1, limit_price=1).json
    answer = world.ask("DELETE", f"/v2/orders/{order['id']}")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-type" not in answer.headers


def test_a_wrong_method_is_told_which_ones_there_are(world: World) -> None:
    answer = world.ask("PUT", "/v2/orders/00000000-0000-4000-8000-000000000000")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, PATCH, DELETE, HEAD")
    assert world.ask("POST", "/v2/clock").headers["allow"] == "GET, HEAD"


def test_head_is_answered_like_get(world: World) -> None:
    get, head = world.ask("GET", "/v2/account"), world.ask("HEAD", "/v2/account")
    assert (head.status, head.headers["content-length"]) == (200, get.headers["content-length"])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/v2/orders/", "endpoint not found."),
        ("/v2/Account", "endpoint not found."),
        ("/v2/assets/BRK.B", "asset not found for BRK.B"),
        ("/v2/assets/BTC%2FUSD", "asset not found for BTC/USD"),
        ("/v2/assets/BTC/USD", "asset not found for BTC/USD"),
        ("/v2/positions/BTC/USD", "position does not exist"),
        ("/v2/positions/AAPL", "position does not exist"),
    ],
)
def test_what_is_not_there_is_a_404_that_says_so(world: World, target: str, message: str) -> None:
    answer = world.ask("GET", target)
    assert (answer.status, answer.json) == (404, {"code": 40410000, "message": message})


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_path_opens_without_a_key(world: World, method: str) -> None:
    for target in ("/v2/orders", "/v2/watchlists/x", "/v2/wallets/whitelists/x", "/v2/positions/a/b"):
        answer = world.ask(method, target, headers={})
        assert answer.status == 401 or answer.status == 405, target
    assert world.ask("GET", "/v2/wallets", headers={}).json == {"message": "unauthorized."}


def test_every_path_of_the_file_is_answered_here_or_named_as_left_out(world: World) -> None:
    ids = {"watchlist_id": "00000000-0000-4000-8000-000000000000", "order_id": "00000000-0000-4000-8000-000000000000"}
    for one in trading_api().operations():
        target = re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "x"), one.path)
        answer = world.ask(one.method.upper(), target, {} if "requestBody" in one.fields else None)
        assert "endpoint not found" not in answer.body.decode(), target
        assert answer.status < 500, target
        assert answer.status != 405, target


@pytest.mark.parametrize("row", LEFT_OUT, ids=lambda row: row.path)
def test_a_path_that_is_left_out_answers_as_the_file_documents(world: World, row: UnsupportedPath) -> None:
    target = re.sub(r"\{\w+\}", "x", row.path)
    for method in row.methods:
        answer = world.ask(method, target)
        assert (answer.status, answer.json) == (row.status, row.body)
        kind = answer.headers["content-type"]
        assert trading_api().problems(method, target, answer.status, kind, answer.body) == []


@pytest.mark.parametrize(("given", "closed"), [("True", 1), ("true", 1), ("1", 1), ("false", 0), ("", 0)])
def test_booleans_are_read_as_python_and_json_write_them(world: World, given: str, closed: int) -> None:
    assert world.order("AAPL", "buy", 1, limit_price=1).status == 200
    assert world.ask("DELETE", f"/v2/positions?cancel_orders={given}").status == 207
    assert len(world.get("/v2/orders?status=closed")) == closed


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("assets", 3),
        ("assets?status=inactive", 0),
        ("assets?asset_class=crypto", 0),
        ("assets?exchange=ARCA", 1),
        ("assets?attributes=has_options", 0),
        ("calendar?start=2025-03-03&end=2025-03-04", 2),
        ("calendar?start=2025-03-04&end=2025-03-04&date_type=SETTLEMENT", 1),
        ("calendar?start=2025-03-08T00:00:00Z&end=2025-03-09", 0),
    ],
)
def test_assets_and_calendar_are_filtered(world: World, target: str, count: int) -> None:
    assert len(world.get(f"/v2/{target}")) == count


def test_an_asset_is_found_by_its_id(world: World) -> None:
    asset: Any = world.get("/v2/assets/SPY")
    assert world.get(f"/v2/assets/{asset['id']}") == asset


@pytest.mark.parametrize(
    ("time", "phase", "until"),
    [
        ("2025-03-03T08:30:00Z", "closed", "2025-03-03T04:00:00-05:00"),
        ("2025-03-03T09:00:00Z", "pre", "2025-03-03T09:30:00-05:00"),
        ("2025-03-03T14:30:00Z", "core", "2025-03-03T16:00:00-05:00"),
        ("2025-03-03T21:00:00Z", "post", "2025-03-03T20:00:00-05:00"),
        ("2025-03-04T01:00:00Z", "closed", "2025-03-04T04:00:00-05:00"),
        ("2025-03-08T15:00:00Z", "closed", "2025-03-10T04:00:00-04:00"),
    ],
)
def test_the_newer_clock_knows_the_parts_of_a_day(world: World, time: str, phase: str, until: str) -> None:
    clocks = world.get(f"/v3/clock?markets=NYSE,XNAS&time={time}")["clocks"]
    assert [clock["market"]["acronym"] for clock in clocks] == ["NYSE", "NASDAQ"]
    assert {(clock["phase"], clock["phase_until"]) for clock in clocks} == {(phase, until)}


def test_the_newer_calendar_shows_a_week_in_the_zone_that_is_asked_for(world: World) -> None:
    days = world.get("/v3/calendar/XNYS")["calendar"]
    assert [day["date"] for day in days] == ["2025-03-03", *(f"2025-03-{day:02}" for day in (4, 5, 6, 7, 10))]
    assert days[0]["core_start"] == "2025-03-03T09:30:00-05:00"
    (day,) = world.get("/v3/calendar/NYSE?timezone=UTC&start=2025-03-03&end=2025-03-03")["calendar"]
    assert (day["pre_start"], day["post_end"]) == ("2025-03-03T09:00:00Z", "2025-03-04T01:00:00Z")
