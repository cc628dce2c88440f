"""Captured flow: replayed as it is, each row from the moment it became known; damaged ones are refused."""

import json
from datetime import date
from pathlib import Path

import pytest

from tests.exchange.worlds import SHARED, World
from tradebot.exchange.captured import CapturedFlow
from tradebot.exchange.exchange import open_exchange
from tradebot.exchange.feeds import flow_source
from tradebot.exchange.process import create
from tradebot.exchange.spec import MarketError, MarketSpec

LIVE = SHARED / "uw" / "live"
PRINT = {"ticker": "AAPL", "executed_at": "2025-12-26T15:00:00Z", "size": 5, "volume": 9, "premium": "1.5"}
CAPTURE = {
    "endpoint": "/api/darkpool/AAPL",
    "captured_at": "2025-12-27T00:00:00",
    "response": {"data": [PRINT]},
}


def spec_of(folder: Path) -> MarketSpec:
    return MarketSpec(symbols=("AAPL",), start=date(2025, 12, 26), sessions=1, uw_folder=str(folder))


def world_of(state: Path, captures: Path) -> World:
    create(state, spec_of(captures))
    exchange = open_exchange(state)
    feed = flow_source(exchange, state)
    assert isinstance(feed, CapturedFlow)
    return World(exchange, feed)


@pytest.mark.skipif(not LIVE.is_dir(), reason="needs ../shared/data/uw/live")
def test_the_captured_responses_are_served_row_for_row_once_their_time_has_come(tmp_path: Path) -> None:
    world = world_of(tmp_path, LIVE)
    world.tick(to="2025-12-27T12:00:00Z")
    for path in LIVE.glob("*.json"):
        capture = json.loads(path.read_text())
        endpoint, rows = capture["endpoint"], capture["response"]["data"]
        if "greeks" in endpoint or "top-net" in endpoint or "etfs" in endpoint:
            assert world.ask("GET", endpoint).status == 404
        else:
            assert world.get(f"{endpoint}?ticker_symbol=AAPL")["data"] == rows


@pytest.mark.skipif(not LIVE.is_dir(), reason="needs ../shared/data/uw/live")
def test_captured_rows_are_held_back_until_they_were_known(tmp_path: Path) -> None:
    world = world_of(tmp_path, LIVE)
    world.tick(to="2025-12-26T21:00:00Z")
    alerts = world.get("/api/option-trades/flow-alerts?limit=200")["data"]
    assert 0 < len(alerts) < 50
    assert max(row["created_at"] for row in alerts) <= "2025-12-26T21:00:00"
    assert world.get("/api/stock/AAPL/iv-rank")["data"][-1]["date"] == "2025-12-24"


def test_an_endpoint_that_was_not_captured_answers_no_rows(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    (captures / "one.json").write_text(json.dumps(CAPTURE))
    world = world_of(tmp_path / "state", captures)
    world.tick(to="close")
    assert world.get("/api/darkpool/AAPL")["data"] == [PRINT]
    assert world.get("/api/darkpool/MSFT") == {"data": []}
    assert world.get("/api/stock/AAPL/oi-change") == {"data": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON, or not all of it"),
        (json.dumps(CAPTURE)[:-40], "not JSON, or not all of it"),
        ("[]", "not a captured response"),
        (json.dumps({"data": []}), "not a captured response"),
        (json.dumps(CAPTURE | {"endpoint": 5}), "is not a path under /api/"),
        (json.dumps(CAPTURE | {"response": [1]}), "holds no list of rows"),
        (json.dumps(CAPTURE | {"response": {"data": {"a": 1}}}), "holds no list of rows"),
        (json.dumps(CAPTURE | {"response": {"data": ["text"]}}), "row 1 is not an object"),
        (json.dumps(CAPTURE | {"response": {"data": [PRINT, {}]}}), "row 2 has no readable executed_at"),
        (json.dumps(CAPTURE | {"response": {"data": [PRINT | {"executed_at": 7}]}}), "row 1 has no readable"),
    ],
)
def test_a_damaged_capture_is_refused_and_named(tmp_path: Path, content: str, message: str) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    (captures / "bad.json").write_text(content)
    with pytest.raises(MarketError, match=f"bad.json: .*{message}"):
        create(tmp_path / "state", spec_of(captures))


def test_a_folder_without_captures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketError, match="no captured responses"):
        create(tmp_path / "state", spec_of(tmp_path / "missing"))
