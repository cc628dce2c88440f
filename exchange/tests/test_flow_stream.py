"""The websocket of the flow feed over real sockets: joins, rows, refusals and faults."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from exchange.tests.kit.app import SHARED
from exchange.tests.kit.served import Client, Served, served
from papervenue.jsontext import encode
from papervenue.streams.flow_alerts import stream_row

JOIN = {"channel": "flow-alerts", "msg_type": "join"}
JOINED = ["flow-alerts", {"response": {}, "status": "ok"}]
HOUR_S = 3600
DOCUMENTED = frozenset(
    """rule_id rule_name ticker option_chain underlying_price volume total_size total_premium total_ask_side_prem
    total_bid_side_prem start_time end_time url price has_multileg has_sweep has_floor open_interest all_opening_trades
    id has_singleleg volume_oi_ratio trade_ids trade_count expiry_count executed_at ask_vol bid_vol no_side_vol mid_vol
    multi_vol stock_multi_vol upstream_condition_details exchanges bid ask""".split()  # noqa: SIM905 -- one word a field
)
"""The fields of the example in the vendor's documentation of the channel."""


@pytest.fixture
def server(new_folder: Callable[[], Path]) -> Iterator[Served]:
    """Yield a served exchange at its first open."""
    with served(new_folder()) as server:
        server.tick(to="open")
        yield server


def stream(server: Served, whose: str = "sandbox") -> Any:
    return server.connect(f"/socket?token={whose}")


def rows_of(server: Served) -> list[dict[str, Any]]:
    """Return the alerts that the REST API has, oldest first."""
    return list(reversed(server.get("/api/option-trades/flow-alerts?limit=200")["data"]))


def read_alerts(client: Client, count: int) -> list[dict[str, Any]]:
    frames = [client.get() for _ in range(count)]
    assert {channel for channel, _ in frames} == {"flow-alerts"}
    return [row for _, row in frames]


def arm(server: Served, what: str, **when: object) -> None:
    rule = {"name": "rule", "when": {"stream": "flow_alerts", **when}, "what": what}
    assert server.ask("POST", "/exchange/v1/faults", [rule]).status_code == 200


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def test_stream_sends_each_alert_after_the_join_once_in_the_order_in_which_it_became_known(server: Served) -> None:
    server.tick(seconds=HOUR_S)
    before = len(rows_of(server))
    with stream(server) as client:
        assert client.ask(JOIN) == JOINED
        for _ in range(3):
            server.tick(seconds=HOUR_S / 3)
        expected = rows_of(server)[before:]
        assert len(expected) > 3
        assert read_alerts(client, len(expected)) == [stream_row(row) for row in expected]


def test_a_row_has_the_documented_fields_in_the_documented_types(server: Served) -> None:
    server.tick(seconds=HOUR_S)
    for row in map(stream_row, rows_of(server)):
        assert set(row) == DOCUMENTED
        assert all(type(row[name]) in (int, float) for name in ("price", "total_premium", "volume_oi_ratio"))
        assert all(type(row[name]) is int for name in ("executed_at", "volume", "total_size", "ask_vol"))
        assert all(type(row[name]) is str for name in ("bid", "ask", "ticker", "option_chain", "rule_name"))
        assert len(row["trade_ids"]) == row["trade_count"]
        assert row["ask_vol"] + row["bid_vol"] + row["mid_vol"] == row["total_size"]


def test_captured_alert_has_the_documented_fields_when_streamed() -> None:
    captured = SHARED / "uw" / "live" / "option_flow_alerts.json"
    if not captured.is_file():
        pytest.skip("needs shared/data")
    for row in json.loads(captured.read_text())["response"]["data"]:
        assert set(stream_row(row)) == DOCUMENTED


@pytest.mark.parametrize(
    "row", [{}, {"total_size": "many", "total_premium": None, "price": "NaN"}, {"trade_count": -1}]
)
def test_unreadable_row_is_streamed_for_the_client_to_count(row: dict[str, Any]) -> None:
    assert json.loads(encode(stream_row(row)))["url"] == ""


@pytest.mark.parametrize("token", ["", "nobody"])
def test_handshake_is_refused_with_401_when_the_token_opens_no_account(server: Served, token: str) -> None:
    with pytest.raises(InvalidStatus) as refused, stream(server, token):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body) == {"message": "unauthorized"}


@pytest.mark.parametrize("message", [{"channel": "prices", "msg_type": "join"}, {"channel": "flow-alerts"}, [], "x"])
def test_message_other_than_a_join_is_answered_with_an_error_and_joins_nothing(server: Served, message: object) -> None:
    with stream(server) as client:
        assert client.ask(message)[1]["status"] == "error"
        server.tick(seconds=HOUR_S)
        assert client.ask(JOIN) == JOINED


def test_faults_mute_repeat_and_reorder_a_streamed_alert(server: Served) -> None:
    for what, expected in (
        ("mute_stream", [0, 2, 3]),
        ("duplicate_events", [0, 1, 1, 2, 3]),
        ("reordered_events", [0, 2, 1, 3]),
    ):
        with stream(server) as client:
            client.ask(JOIN)
            before = len(rows_of(server))
            arm(server, what, nth=2)
            while len(rows := rows_of(server)[before:]) < 4:
                server.tick(seconds=60)
            assert ids(read_alerts(client, len(expected))) == [ids(rows)[number] for number in expected]
            server.ask("DELETE", "/exchange/v1/faults")


def test_a_dropped_connection_ends_without_a_goodbye(server: Served) -> None:
    with stream(server) as client:
        client.ask(JOIN)
        arm(server, "dropped_stream", nth=2)
        server.tick(seconds=HOUR_S)
        assert ids(read_alerts(client, 1)) == ids(rows_of(server)[:1])
        with pytest.raises(ConnectionClosed) as closed:
            client.frame()
        assert closed.value.rcvd is None


def test_a_stalled_connection_stays_up_and_answers_no_ping(server: Served) -> None:
    with stream(server) as client:
        client.ask(JOIN)
        assert client.websocket.ping().wait(5), "the exchange answers no ping at all"
        arm(server, "stalled_stream")
        server.tick(seconds=HOUR_S)
        deadline = time.monotonic() + 5
        while client.websocket.ping().wait(0.1):
            assert time.monotonic() < deadline, "it still answers"
        client.websocket.socket.close()


@pytest.mark.parametrize("stream", ["trade_updates", "market_data"])
def test_only_flow_streams_can_be_dropped_or_stalled(server: Served, stream: str) -> None:
    rule = {"name": "rule", "when": {"stream": stream}, "what": "dropped_stream"}
    answer = server.ask("POST", "/exchange/v1/faults", [rule])
    assert answer.status_code == 422
    assert "when.stream is flow_alerts for dropped_stream" in answer.text
