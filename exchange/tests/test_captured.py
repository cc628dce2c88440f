"""Captured flow: served unchanged, each row from the moment it became known; damaged captures are refused."""

import json
from datetime import date
from pathlib import Path

import pytest

from exchange.tests.kit.app import SHARED, World
from papervenue.creation import captured_session, market_remarks
from papervenue.exchange import open_exchange
from papervenue.flow.captured import CapturedFlow
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.process import create
from papervenue.server import flow_source

LIVE = SHARED / "uw" / "live"
PRINT = {"ticker": "AAPL", "executed_at": "2025-12-26T15:00:00Z", "size": 5, "volume": 9, "premium": "1.5"}
CAPTURE = {"endpoint": "/api/darkpool/AAPL", "captured_at": "2025-12-27T00:00:00", "response": {"data": [PRINT]}}


def spec_of(folder: Path) -> MarketSpec:
    return MarketSpec(symbols=("AAPL",), start=date(2025, 12, 26), sessions=1, uw_folder=str(folder))


def world_of(state: Path, captures: Path, to: str) -> World:
    create(state, spec_of(captures))
    exchange = open_exchange(state)
    feed = flow_source(exchange, state)
    assert isinstance(feed, CapturedFlow)
    world = World(exchange, feed)
    world.tick(to=to)
    return world


@pytest.mark.skipif(not LIVE.is_dir(), reason="needs ../shared/data/uw/live")
def test_captures_are_served_row_for_row_once_engine_time_has_passed_them(tmp_path: Path) -> None:
    world = world_of(tmp_path, LIVE, to="2025-12-26T21:00:00Z")
    alerts = world.get("/api/option-trades/flow-alerts?limit=200")["data"]
    assert 0 < len(alerts) < 50
    assert max(row["created_at"] for row in alerts) <= "2025-12-26T21:00:00"
    assert world.get("/api/stock/AAPL/iv-rank")["data"][-1]["date"] == "2025-12-24"
    world.tick(to="2025-12-27T12:00:00Z")
    for path in LIVE.glob("*.json"):
        capture = json.loads(path.read_text())
        endpoint, rows = capture["endpoint"], capture["response"]["data"]
        if "greeks" in endpoint:
            assert world.ask("GET", endpoint).status == 404
        else:
            assert world.get(f"{endpoint}?ticker_symbol=AAPL")["data"] == rows


def test_endpoint_returns_no_rows_when_it_was_not_captured(tmp_path: Path) -> None:
    world = world_of(tmp_path / "state", folder_of(tmp_path / "captures", CAPTURE), to="close")
    assert world.get("/api/darkpool/AAPL")["data"] == [PRINT]
    assert world.get("/api/darkpool/AAPL?date=2025-12-26")["data"] == [PRINT]
    assert world.get("/api/darkpool/MSFT") == {"data": []}
    assert world.get("/api/stock/AAPL/oi-change") == {"data": []}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not complete JSON"),
        (json.dumps(CAPTURE)[:-40], "not complete JSON"),
        ("[]", "not a captured response"),
        (json.dumps({"data": []}), "not a captured response"),
        (json.dumps(CAPTURE | {"endpoint": 5}), "is not a path under /api/"),
        (json.dumps(CAPTURE | {"response": [1]}), "holds no list of rows"),
        (json.dumps(CAPTURE | {"response": {"data": {"a": 1}}}), "holds no list of rows"),
        ("[" * 100_000, "not complete JSON"),
        (json.dumps(CAPTURE | {"response": {"data": ["text", 5]}}), "none of its 2 rows is an object"),
        (json.dumps(CAPTURE | {"captured_at": 5, "response": {"data": [{}]}}), "any row's executed_at is a readable"),
    ],
)
def test_create_refuses_a_damaged_capture_and_names_it(tmp_path: Path, content: str, message: str) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    (captures / "bad.json").write_text(content)
    with pytest.raises(MarketError, match=f"bad.json: .*{message}"):
        create(tmp_path / "state", spec_of(captures))


def folder_of(path: Path, *captures: object) -> Path:
    path.mkdir()
    for number, capture in enumerate(captures):
        (path / f"{number}.json").write_text(json.dumps(capture))
    return path


def captured(endpoint: str, *rows: object) -> object:
    return CAPTURE | {"endpoint": endpoint, "response": {"data": list(rows)}}


BAD_PRINTS: tuple[object, ...] = (
    PRINT | {"premium": None},
    PRINT | {"premium": "text", "size": -5},
    PRINT | {"premium": "NaN"},
    PRINT | {"premium": "1e999", "volume": []},
    PRINT | {"executed_at": None},
    PRINT | {"executed_at": "2099-01-01T00:00:00Z"},
    PRINT | {"executed_at": "0001-01-01T00:00:00Z"},
    {},
    "text",
)


def test_bad_rows_are_served_unchanged_from_their_own_time_or_the_capture_s(tmp_path: Path) -> None:
    captures = folder_of(tmp_path / "c", captured("/api/darkpool/AAPL", PRINT, *BAD_PRINTS))
    target = "/api/darkpool/AAPL?date=2025-12-26&min_premium=1&order_by="
    world = world_of(tmp_path / "state", captures, to="2025-12-26T23:59:00Z")
    # The first five have their own time; of the rest it is only known when they were captured.
    assert world.get(target)["data"] == [PRINT, *BAD_PRINTS[:4]]
    world.tick(to="2025-12-27T00:00:00Z")
    every = [json.dumps(one) for one in (PRINT, *BAD_PRINTS)]
    for order in ("executed_at", "premium", "size", "volume"):
        assert sorted(json.dumps(one) for one in world.get(target + order)["data"]) == sorted(every)
    assert world.get("/api/darkpool/AAPL?min_premium=2&max_size=4")["data"] != []


def test_print_is_left_out_only_by_a_bound_that_was_given(tmp_path: Path) -> None:
    negative, huge = PRINT | {"premium": "-7"}, PRINT | {"premium": "9" * 20}
    world = world_of(
        tmp_path / "state", folder_of(tmp_path / "c", captured("/api/darkpool/AAPL", negative, huge)), to="close"
    )
    assert world.get("/api/darkpool/AAPL")["data"] == [negative, huge]
    assert world.get("/api/darkpool/AAPL?min_premium=0")["data"] == [huge]
    assert world.get("/api/darkpool/AAPL?max_premium=9")["data"] == [negative]


def test_unreadable_alert_passes_every_filter(tmp_path: Path) -> None:
    bad = {"created_at": "2025-12-26T15:00:00Z", "total_premium": "NaN", "volume": None, "expiry": 7}
    world = world_of(
        tmp_path / "state",
        folder_of(tmp_path / "c", captured("/api/option-trades/flow-alerts", bad, ["odd"])),
        to="2025-12-27T00:00:00Z",
    )
    every = "min_premium=5&max_size=1&min_dte=3&is_call=false&is_ask_side=false&is_otm=true&vol_greater_oi=true"
    assert world.get(f"/api/option-trades/flow-alerts?{every}&rule_name[]=RepeatedHits")["data"] == [["odd"], bad]


def test_captured_rows_of_another_day_are_not_returned_for_a_date(tmp_path: Path) -> None:
    tide = {"timestamp": "2025-12-26T09:30:00-05:00", "date": "2025-12-26", "net_volume": 1}
    changed = {"curr_date": "2025-12-26", "option_symbol": "AAPL251226C00277500"}
    greek = {"date": "2025-12-26", "call_delta": "1"}
    folder = folder_of(
        tmp_path / "c",
        captured("/api/darkpool/AAPL", PRINT, {}),
        captured("/api/market/market-tide", tide),
        captured("/api/stock/AAPL/oi-change", changed),
        captured("/api/stock/AAPL/greek-exposure", greek, {"date": None}),
    )
    world = world_of(tmp_path / "state", folder, to="2025-12-27T12:00:00Z")
    for path in ("/api/darkpool/AAPL", "/api/market/market-tide", "/api/stock/AAPL/oi-change"):
        assert world.get(f"{path}?date=2025-12-26")["data"] != []
        assert world.get(f"{path}?date=2025-12-29")["data"] == []
    assert world.get("/api/stock/AAPL/greek-exposure?date=2025-12-25")["data"] == [{"date": None}]


def test_two_captures_of_one_endpoint_are_merged_without_repeating_rows(tmp_path: Path) -> None:
    later = PRINT | {"executed_at": "2025-12-26T16:00:00Z"}
    folder = folder_of(
        tmp_path / "c", captured("/api/darkpool/AAPL", PRINT, PRINT), captured("/api/darkpool/AAPL", later, PRINT)
    )
    world = world_of(tmp_path / "state", folder, to="close")
    assert world.get("/api/darkpool/AAPL")["data"] == [later, PRINT, PRINT]


@pytest.mark.skipif(not LIVE.is_dir(), reason="needs ../shared/data/uw/live")
def test_remarks_count_the_captured_rows_shown_and_say_when_all_are_served(tmp_path: Path) -> None:
    assert captured_session(LIVE) == date(2025, 12, 26)
    create(tmp_path / "there", spec_of(LIVE))
    assert market_remarks(tmp_path / "there") == (
        (
            "the market begins on 2025-12-26, the session in the captured flow",
            "captured flow: 629 rows in the sessions from 2025-12-26 to 2025-12-26: 2025-12-26 629",
        ),
        "2025-12-27T02:19:00Z",
    )
    elsewhere = MarketSpec(symbols=("AAPL",), start=date(2026, 11, 16), sessions=1, uw_folder=str(LIVE))
    create(tmp_path / "elsewhere", elsewhere)
    said = market_remarks(tmp_path / "elsewhere")
    assert said.complete_at is None
    assert "629 rows from days outside" in said.sentences[-1]
    assert said.sentences[-1].endswith("--start 2025-12-26")


def test_create_refuses_a_folder_without_captures(tmp_path: Path) -> None:
    with pytest.raises(MarketError, match="no captured responses"):
        create(tmp_path / "state", spec_of(tmp_path / "missing"))
