"""Each fault of the flow API: what its rule changes, what it leaves alone, and how the bot's own client takes it."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import FAULTS, World, open_world

ALERTS = "/api/option-trades/flow-alerts?limit=40"
PRINTS = "/api/darkpool/AAPL?limit=40"
TIDE = "/api/market/market-tide?interval_5m=false"
STATS = "/api/stock/AAPL/volatility/stats"
EVERY = (ALERTS, PRINTS, TIDE, STATS)


@pytest.fixture(scope="module")
def opened(new_folder: Callable[[], Path]) -> World:
    return open_world(new_folder(), to="2025-03-03T18:00:00Z")


@pytest.fixture
def world(opened: World) -> Iterator[World]:
    yield opened
    opened.clear_rules()


def arm(world: World, what: object, **when: object) -> None:
    world.arm(what, **{"request": "any flow", **when})


def fired(world: World) -> int:
    return int(world.ask("GET", FAULTS).json["faults"][0]["fired"])


def rows(world: World, target: str) -> list[dict[str, Any]]:
    data = world.get(target)["data"]
    return data if isinstance(data, list) else [data]


def test_foreign_rows_belong_to_another_ticker_down_to_their_contracts(world: World) -> None:
    before = rows(world, ALERTS)
    arm(world, {"foreign_rows": "QZQZ", "share": 0.25})
    after = rows(world, ALERTS)
    changed = [index for index, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert changed == list(range(3, len(before), 4))
    for index in changed:
        contract = before[index]["option_chain"].removeprefix(before[index]["ticker"])
        assert after[index] == before[index] | {"ticker": "QZQZ", "option_chain": "QZQZ" + contract}
    assert rows(world, TIDE) == rows(world, TIDE)
    assert fired(world) == 3


def test_without_a_share_every_row_is_changed(world: World) -> None:
    arm(world, "foreign_rows")
    assert {row["ticker"] for row in rows(world, ALERTS) + rows(world, PRINTS)} == {"QZQZ"}
    assert rows(world, STATS)[0]["ticker"] == "QZQZ"


def test_duplicate_rows_are_the_same_rows(world: World) -> None:
    before = rows(world, PRINTS)
    arm(world, "duplicate_rows")
    assert rows(world, PRINTS) == [row for row in before for _ in range(2)]


@pytest.mark.parametrize(
    ("what", "target", "expected"), [("null_field", PRINTS, lambda old: None), ("retyped_field", PRINTS, float)]
)
def test_a_fields_value_changes_in_a_share_of_the_rows(
    world: World, what: str, target: str, expected: Callable[[str], object]
) -> None:
    before = rows(world, target)
    arm(world, {what: "price", "share": 0.5})
    for index, (old, new) in enumerate(zip(before, rows(world, target), strict=True)):
        assert new == (old | {"price": expected(old["price"])} if index % 2 else old)


def test_other_types_change_too(world: World) -> None:
    before = rows(world, ALERTS)[0]
    for field, expected in (
        ("total_size", str(before["total_size"])),
        ("has_sweep", int(before["has_sweep"])),
        ("type", [before["type"]]),
    ):
        arm(world, {"retyped_field": field})
        after = rows(world, ALERTS)[0]
        assert after == before | {field: expected}
        assert type(after[field]) is type(expected)
        world.clear_rules()


def test_a_new_field_and_a_missing_one_are_drift(world: World) -> None:
    before = rows(world, PRINTS)
    arm(world, {"new_field": "venue_fee"})
    assert all(set(row) == {*before[0], "venue_fee"} for row in rows(world, PRINTS))
    world.clear_rules()
    arm(world, {"missing_field": "nbbo_bid"})
    assert all(set(row) == set(before[0]) - {"nbbo_bid"} for row in rows(world, PRINTS))


def test_stale_flow_stands_still_or_lags_while_its_headers_are_new(new_folder: Callable[[], Path]) -> None:
    world = open_world(new_folder(), to="2025-03-03T17:00:00Z")
    as_of_then = {target: rows(world, target) for target in EVERY}
    arm(world, "stale_flow")
    assert {target: rows(world, target) for target in EVERY} == as_of_then
    world.tick(to="2025-03-03T18:00:00Z")
    assert {target: rows(world, target) for target in EVERY} == as_of_then
    assert world.ask("GET", ALERTS).headers["x-exchange-time"] == "2025-03-03T18:00:00Z"
    world.clear_rules()
    assert rows(world, TIDE) != as_of_then[TIDE]
    arm(world, {"stale_flow": "1h"})
    assert rows(world, TIDE) == as_of_then[TIDE]
    world.tick(to="2025-03-03T18:30:00Z")
    assert rows(world, TIDE)[-1]["timestamp"] == "2025-03-03T12:30:00-05:00"


@pytest.mark.parametrize("limit", ["minute", "day"])
def test_a_used_up_limit_answers_429_with_the_headers_that_say_which(world: World, limit: str) -> None:
    arm(world, {"flow_limit": limit, "retry_after": "5s"}, nth=1)
    answer = world.ask("GET", ALERTS)
    headers = answer.headers
    assert (answer.status, headers["retry-after"]) == (429, "5")
    assert (headers["x-uw-req-per-minute-remaining"] == "0") == (limit == "minute")
    assert (headers["x-uw-daily-req-count"] == headers["x-uw-token-req-limit"]) == (limit == "day")
    assert answer.json == {"message": "too many requests"}
    assert world.ask("GET", ALERTS).status == 200


def test_what_is_not_in_the_plan_is_refused_with_a_code(world: World) -> None:
    for word, code in (("endpoint", "advanced_tier_required"), ("date", "historic_data_access_missing")):
        arm(world, {"not_in_plan": word})
        answer = world.ask("GET", STATS)
        assert (answer.status, answer.json["code"]) == (403, code)
        assert "x-uw-daily-req-count" in answer.headers
        world.clear_rules()


def test_gzip_cut_short_is_neither_whole_nor_silently_shorter(world: World) -> None:
    whole = world.ask("GET", ALERTS).body
    arm(world, "truncated_gzip")
    answer = world.ask("GET", ALERTS)
    assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
    assert int(answer.headers["content-length"]) == len(answer.body)
    with pytest.raises(EOFError):
        gzip.decompress(answer.body)
    part = zlib.decompressobj(wbits=31).decompress(answer.body)
    assert 0 < len(part) < len(whole)
    assert whole.startswith(part)


def test_an_internal_error_of_the_flow_api_is_plain_text(world: World) -> None:
    arm(world, {"status": 500})
    answer = world.ask("GET", TIDE)
    assert (answer.status, answer.headers["content-type"]) == (500, "text/plain; charset=utf-8")
    world.clear_rules()
    arm(world, "html_body")
    page = world.ask("GET", TIDE)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_faults_of_flow_can_meet_no_other_request(world: World) -> None:
    for fault in ("foreign_rows", "stale_flow", "flow_limit", "truncated_gzip"):
        answer = world.ask("POST", FAULTS, [{"name": "x", "when": {"request": "orders"}, "what": fault}])
        assert answer.status == 422
    arm(world, "duplicate_rows", request="any")
    assert world.ask("GET", "/v2/clock").status == 200
    assert fired(world) == 0


def test_an_answer_without_rows_stays_as_it_is(world: World) -> None:
    for what in ("foreign_rows", "duplicate_rows", {"null_field": "price"}):
        arm(world, what)
        assert world.get("/api/darkpool/NONE") == {"data": []}
        assert world.ask("GET", "/api/darkpool/MSFT12").status == 422
        world.clear_rules()
