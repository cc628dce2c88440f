"""Health over HTTP on real sockets: bounded, on loopback only, and alive while the rest of the process hangs.

`/metrics`: both formats are read back by the client library's own parsers, and hold ages and counts.
"""

import http.client
import json
import math
import select
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from commands.serve import health_server, web_pages
from commands.serve.web import serve_pages
from commands.serve.web_pages import MOST_EVENTS, TRADING, ResponseData, ServePages, metrics
from tests.kit.core.evidence import at, cycle, note, past
from tests.kit.values import NOW, SHIPPED, ago
from tests.views.test_holdings import holding
from tradebot import __version__
from tradebot.adapters.state import serve_status as notes
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.text import redaction
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.judging.evidence import Serve, UnreadablePart
from tradebot.judging.judgment import permission
from tradebot.judging.pass_health import TABLE, judge_passes, judge_subject
from tradebot.model.event import EventKind
from tradebot.model.lifecycle import RestingPrice
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.views.holdings import PositionProtection
from tradebot.views.metrics import MetricFigures

LONGEST_S = 10


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Return as much of a bot as the pages need: a folder and settings."""
    return cast("App", SimpleNamespace(folder=SimpleNamespace(path=tmp_path), settings=SHIPPED))


def get(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_S)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), LONGEST_S) as connection:
        connection.sendall(sent)
        parts = []
        while part := connection.recv(65_536):
            parts.append(part)
        return b"".join(parts)


def test_health_is_served_on_several_ports_and_cleans_up(app: App) -> None:
    with serve_pages(app, [0, 0], looked) as ports:
        assert [get(port, "/health")[0] for port in ports] == [200, 200]
        assert get(ports[0], "/health", "HEAD") == (200, b"")
        assert get(ports[0], "/health", "POST")[0] == 405
        assert get(ports[0], "/health", headers={"Host": "evil.example"})[0] == 421
    assert "health" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionRefusedError):
        get(ports[0], "/health")


def test_health_without_ports_listens_nowhere(app: App) -> None:
    before = threading.active_count()
    with serve_pages(app, [], looked) as ports:
        assert (ports, threading.active_count()) == ((), before)


def test_taken_health_port_is_named(app: App) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with (
            pytest.raises(OperatorError, match=rf"127\.0\.0\.1:{taken}: Address already in use") as refused,
            serve_pages(app, [taken], looked),
        ):
            pass
    assert "health.ports" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000 + b"\r\n\r\n", b"431"),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 2_000, b"431"),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n", b"413"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.0\r\n\r\n", b"421"),
    ],
)
def test_too_long_or_no_http_is_refused(app: App, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes) -> None:
    monkeypatch.setattr(health_server, "LONGEST_HEAD", 1_000)
    with serve_pages(app, [0], looked) as (port,):
        assert raw(port, sent).split()[1] == status
        assert get(port, "/health")[0] == 200


def test_slow_connection_is_closed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_server.HealthConnection, "request_s", 0)
    with serve_pages(app, [0], looked) as (port,), socket.create_connection(("127.0.0.1", port), LONGEST_S) as slow:
        sent = 0
        with suppress(ConnectionError):
            while sent < 1_000 and not select.select([slow], [], [], 0.01)[0]:
                sent += slow.send(b"G")
            assert slow.recv(1) == b""
        assert sent < 1_000


def test_requests_are_answered_while_hundreds_of_connections_hang(app: App) -> None:
    with serve_pages(app, [0, 0], looked) as (port, _), ExitStack() as half_open:
        for _ in range(400):
            hanging = half_open.enter_context(socket.create_connection(("127.0.0.1", port), LONGEST_S))
            hanging.sendall(b"GET /health HT")
        assert [get(port, path)[0] for path in ("/healthz", "/readyz", "/health")] == [503, 200, 200]


def test_healthz_answers_while_everything_else_hangs(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_pages, "PATIENCE_S", 0.05)
    go_on, hangs = threading.Event(), threading.Event()

    def hung() -> ResponseData:
        hangs.set()
        go_on.wait(LONGEST_S)
        return looked()

    with serve_pages(app, [0], hung) as (port,):
        first = threading.Thread(target=get, args=(port, "/health"))
        first.start()
        assert hangs.wait(LONGEST_S)
        status, body = get(port, "/readyz")
        assert (status, b"couldn't be read in time" in body) == (503, True)
        # No serve holds this folder's lock, and none has left a note.
        status, body = get(port, "/healthz")
        assert (status, b"UNKNOWN" in body) == (503, True)
        go_on.set()
        first.join(LONGEST_S)
        assert get(port, "/readyz")[0] == 200


def test_bug_in_an_answer_is_an_error_status(app: App) -> None:
    def broken() -> ResponseData:
        raise ZeroDivisionError

    with serve_pages(app, [0], broken) as (port,):
        status, body = get(port, "/health")
        assert (status, b"ZeroDivision" in body) == (500, False)
        assert get(port, "/healthz")[0] == 503
    assert notes.read_serving(app.folder.path) is None


OPEN = "application/openmetrics-text; version=1.0.0"
PARSERS = {OPEN: openmetrics.text_string_to_metric_families, "": text_string_to_metric_families}


def read(accept: str, text: str) -> dict[tuple[str, ...], float]:
    """Return the value of every sample, by its name and its labels' values."""
    samples = [sample for family in PARSERS[accept](text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


@pytest.mark.parametrize("accept", PARSERS)
def test_metrics_can_be_read_back(accept: str) -> None:
    answer = metrics(looked(exits=past(cycles=[cycle(at=ago(90))])), accept)
    found = read(accept, answer.text)
    assert answer.kind.startswith(accept.partition(";")[0] or "text/plain")
    assert {labels[0] for name, *labels in found if name == "tradebot_evidence_count"} == TABLE.keys()
    assert found["tradebot_evidence_age_seconds", "exits"] == 90
    assert found["tradebot_evidence_late_seconds", "exits"] == 60
    assert found["tradebot_evidence_budget_seconds", "exits"] == 300
    assert (found["tradebot_parts", "OK"], found["tradebot_order_success_rate",]) == (len(TABLE), 0.98)
    assert (found["tradebot_data_fetch_latency_ms",], found["tradebot_position_mismatches",]) == (812.5, 2)
    assert (found["tradebot_positions",], found["tradebot_positions_without_stop",]) == (0, 0)
    assert {found["tradebot_part_state", part] for part in TABLE} == {0}
    assert (found["tradebot_healings",], found["tradebot_last_cycle_age_seconds",]) == (4, 30)
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("accept", PARSERS)
def test_unknown_metrics_are_left_out_instead_of_zero(accept: str) -> None:
    unread = UnreadablePart("locked", "")
    answer = metrics(replace(looked(**dict.fromkeys(TABLE)), figures=unread, positions=unread), accept)
    found = read(accept, answer.text)
    assert found["tradebot_parts", "UNKNOWN"] == len(TABLE)
    assert {found["tradebot_part_state", part] for part in TABLE} == {1}
    told = {"tradebot_info", "tradebot_evidence_count", "tradebot_parts", "tradebot_part_state"}
    assert {name for name, *_ in found} == told


@pytest.mark.parametrize(("query", "accept"), [("format=json", ""), ("", "application/json"), ("format=json", OPEN)])
def test_metrics_in_json_are_the_same_numbers(tmp_path: Path, query: str, accept: str) -> None:
    reply = asking(tmp_path)("/metrics", query, HTTP_ACCEPT=accept)
    assert reply.headers["Content-Type"] == "application/json"
    json_values = {
        (name, *([label] if label else [])): value
        for name, found in reply.data.items()
        for label, value in (found.items() if isinstance(found, dict) else [("", found)])
    }
    text = read("", asking(tmp_path)("/metrics", "format=text", HTTP_ACCEPT="application/json").body.decode())
    text["tradebot", __version__] = text.pop(("tradebot_info", __version__))
    assert json_values == text


def test_metrics_in_an_unknown_format_are_refused(tmp_path: Path) -> None:
    assert asking(tmp_path)("/metrics", "format=xml").status == 400


SHUT = Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))
FIGURES = MetricFigures(40, 30.0, 0.98, 812.5, 2, 1, 3, 4, "venue position_differs AAPL", "mixed", None)


def looked(**changes: Any) -> ResponseData:
    """Return what was looked at of a bot that is well but for these parts of the evidence."""
    evidence = at(NOW, **changes)
    return ResponseData(evidence, judge_passes(evidence), FIGURES, True, permission(Permission(), evidence.at), ())


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Reply]


def asking(events: Path, look: Callable[[], ResponseData] = looked, hosts: tuple[str, ...] = ("localhost",)) -> Ask:
    pages = ServePages(events, hosts, lambda: judge_subject("serve", look().evidence), look)

    def ask(path: str, query: str = "", method: str = "GET", host: str = "127.0.0.1:8081", **environ: str) -> Reply:
        said: list[Any] = []
        asked = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": host, **environ}
        body = b"".join(pages(asked, lambda status, headers, exc_info=None: said.extend((status, headers))))
        return Reply(int(said[0][:3]), dict(said[1]), body)

    return ask


@pytest.fixture
def log(tmp_path: Path) -> Path:
    events = JsonlEvents(tmp_path / "events.jsonl")
    events.emit(EventKind.POSITION_DIFFERS.at(ago(60), {"books": "3"}, "AAPL"))
    events.emit(EventKind.FETCH_FAILED.at(ago(30), {"message": "timed out"}, "MSFT"))
    events.emit(EventKind.STREAM_LOST.at(NOW, {}))
    return tmp_path / "events.jsonl"


def test_healthy_bot_is_healthy_ready_and_alive(log: Path) -> None:
    ask = asking(log)
    assert [ask(path).status for path in ("/healthz", "/readyz", "/health", "/metrics")] == [200] * 4
    found = ask("/health").data
    assert len(found["subsystems"]) == len(TABLE)
    fields = {name: value for name, value in found.items() if name != "subsystems"}
    assert fields == {
        "status": "OK",
        "timestamp": "2026-11-16T15:00:00Z",
        "uptime_seconds": 1800.0,
        "total_cycles": 40,
        "last_cycle_ago_seconds": 30.0,
        "errors": 1,
        "warnings": 3,
        "healings": 4,
        "last_error": "venue position_differs AAPL",
        "positions": [],
        "issues": [],
        "models": ["flow"],
        "regime": "mixed",
        "last_learn": None,
        "alpaca_connected": True,
        "order_success_rate": 0.98,
        "data_fetch_latency_ms": 812.5,
        "position_mismatches": 2,
    }


def test_the_first_system_s_address_of_health_answers_the_same(log: Path) -> None:
    ask = asking(log)
    assert ask("/api/sre/health").data == ask("/health").data


@pytest.mark.parametrize("part", TABLE)
def test_health_is_503_while_any_part_is_unknown_and_names_it(log: Path, part: str) -> None:
    reply = asking(log, lambda: looked(**{part: None}))("/health")
    assert (reply.status, reply.data["status"]) == (503, "UNKNOWN")
    assert [issue.split()[0] for issue in reply.data["issues"]] == [part]
    assert reply.data["alpaca_connected"] is (part != "broker")


@pytest.mark.parametrize("part", TABLE)
def test_bot_is_not_ready_while_a_needed_part_is_unknown(log: Path, part: str) -> None:
    reply = asking(log, lambda: looked(**{part: None}))("/readyz")
    closed = [condition["name"] for condition in reply.data["conditions"] if not condition["holds"]]
    assert closed == ([part] if part in TRADING else [])
    assert (reply.status, reply.data["ready"]) == ((503, False) if closed else (200, True))


@pytest.mark.parametrize(
    ("changes", "condition", "said"),
    [
        ({"is_open": False}, "session", "no session is open"),
        ({"permission": permission(SHUT, NOW)}, "permission", "LIVE_NOT_ARMED (mode live)"),
    ],
)
def test_not_ready_without_session_or_permission(log: Path, changes: dict[str, Any], condition: str, said: str) -> None:
    reply = asking(log, lambda: replace(looked(), **changes))("/readyz")
    closed = {each["name"]: each["found"] for each in reply.data["conditions"] if not each["holds"]}
    assert reply.status == 503
    assert list(closed) == [condition]
    assert said in closed[condition]


@pytest.mark.parametrize(("part", "every_s"), [("exits", 60), ("entries", 300), ("flow", 300)])
def test_bot_is_not_ready_once_a_second_slot_begins_that_nobody_ran(log: Path, part: str, every_s: int) -> None:
    def ready(finished_ago_s: int) -> Reply:
        finished = past(cycles=[cycle(job, at=ago(finished_ago_s)) for job in Job])
        return asking(log, lambda: looked(**{part: finished}))("/readyz")

    assert ready(every_s).status == 200, "only the slot that has just begun is waiting"
    late = ready(every_s + 1)
    assert late.status == 503
    closed = {each["name"]: each["found"] for each in late.data["conditions"] if not each["holds"]}
    assert closed == {"slots": f"2 slots of {part} began, but no pass finished"}


@pytest.mark.parametrize(
    ("serve", "status"),
    [
        (Serve(True, note(), 3, "", False), 200),
        (Serve(True, note(troubles={"config": "bad"}), 3, "", False), 200),
        (Serve(True, note(lanes={"exits": ago(301)}), 3, "", False), 503),
        (Serve(True, note(ago(31)), 3, "", False), 503),
        (Serve(False, note(), 3, "", False), 503),
        (None, 503),
    ],
)
def test_process_is_alive_while_its_lanes_look(log: Path, serve: Serve | None, status: int) -> None:
    assert asking(log, lambda: looked(serve=serve))("/healthz").status == status


def test_unreadable_figures_are_null_and_the_error_says_why(log: Path) -> None:
    reply = asking(log, lambda: replace(looked(), figures=UnreadablePart("the ledger is locked", "")))
    found = reply("/health").data
    assert (found["total_cycles"], found["last_cycle_ago_seconds"], found["regime"]) == (None, None, None)
    assert found["last_error"] == "the ledger is locked"
    assert reply("/metrics").status == 200


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("", ["position_differs", "fetch_failed", "stream_lost"]),
        ("last=2", ["fetch_failed", "stream_lost"]),
        ("subsystem=flow", ["fetch_failed", "stream_lost"]),
        ("severity=error", ["position_differs"]),
        ("symbol=MSFT&subsystem=flow", ["fetch_failed"]),
        ("symbol=NVDA", []),
    ],
)
def test_events_are_chosen_by_subsystem_severity_and_symbol(log: Path, query: str, types: list[str]) -> None:
    reply = asking(log)("/system-events", query)
    assert [event["event_type"] for event in reply.data["events"]] == types
    assert (reply.status, reply.data["looked_at"], reply.data["unreadable"]) == (200, 3, 0)


@pytest.mark.parametrize(
    "query",
    [
        "last=0",
        f"last={MOST_EVENTS + 1}",
        "last=1e2",
        "last=٣",
        "severity=LOUD",
        "subsystem=nothing",
        "symbol=../../etc/passwd",
        "symbol=",
        "symbol=AAPL&symbol=MSFT",
        "nonsense",
        "last=2" + "&a=1" * 20,
        "last=" + "2" * 600,
    ],
)
def test_unknown_or_wrong_parameter_is_refused(log: Path, query: str) -> None:
    reply = asking(log)("/system-events", query)
    assert reply.status == 400
    assert "events" not in reply.data
    assert reply.data["error"]


RESTING = RestingPrice(Decimal(95), Decimal(10), is_stop=True)


@pytest.mark.parametrize(
    ("price", "protection", "value", "rests"),
    [
        (Decimal(101), PositionProtection(Decimal(10), (RESTING,), None, None, None), "1010", True),
        (
            None,
            PositionProtection(Decimal(0), (replace(RESTING, is_stop=False),), "trail_stop", "x", None),
            None,
            False,
        ),
        (Decimal(101), None, "1010", False),
    ],
)
def test_health_lists_each_position_with_its_value_and_whether_a_stop_rests(
    log: Path, price: Decimal | None, protection: PositionProtection | None, value: str | None, rests: bool
) -> None:
    held = replace(holding("101"), price=price, protection=protection)
    found = asking(log, lambda: replace(looked(), positions=(held,)))("/health").data["positions"]
    said = {"symbol": "AAPL", "strategy": "flow", "quantity": "10", "value_usd": value, "stop_rests": rests}
    assert found == [said]
    contract = replace(held, multiplier=Decimal(50))
    worth = asking(log, lambda: replace(looked(), positions=(contract,)))("/health").data["positions"][0]["value_usd"]
    assert worth == (value and str(50 * int(value)))


def test_health_shows_no_positions_rather_than_none_if_they_cannot_be_read(log: Path) -> None:
    assert (
        asking(log, lambda: replace(looked(), positions=UnreadablePart("locked", "")))("/health").data["positions"]
        is None
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/health", "/metrics"])
def test_other_pages_take_no_parameters(log: Path, path: str) -> None:
    assert asking(log)(path, "a=1").status == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8081", 200),
        ("localhost", 200),
        ("LOCALHOST:8081", 200),
        ("[::1]:8081", 200),
        ("bot.example:80", 421),
        ("", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:127.0.0.1", 421),
        ("[::1", 421),
        ("[::1]evil.example", 421),
        ("127.0.0.1:8081@evil.example", 421),
    ],
)
def test_only_known_names_of_this_machine_are_answered(log: Path, host: str, status: int) -> None:
    assert asking(log)("/health", host=host).status == status
    assert asking(log, hosts=("bot.example",))("/health", host="bot.example").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_answered(log: Path, method: str) -> None:
    reply = asking(log)("/health", method=method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_of_get_and_no_body(log: Path) -> None:
    ask = asking(log)
    head, whole = ask("/health", method="HEAD"), ask("/health")
    assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")
    assert whole.headers["Content-Length"] == str(len(whole.body))
    assert (whole.headers["X-Content-Type-Options"], whole.headers["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("environ", [{"CONTENT_LENGTH": "5"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_request_with_a_body_is_refused(log: Path, environ: dict[str, str]) -> None:
    assert asking(log)("/health", **environ).status == 413


def test_unknown_path_lists_the_known_ones(log: Path) -> None:
    reply = asking(log)("/nope")
    assert reply.status == 404
    assert "/system-events" in reply.data["error"]


def test_no_answer_shows_a_key(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "K3y" * 9
    monkeypatch.setattr(redaction, "_forms", {key: key.encode()})
    JsonlEvents(log).emit(EventKind.FETCH_FAILED.at(NOW, {"message": "refused"}))
    log.write_text(log.read_text().replace("refused", key))
    ask = asking(log, lambda: looked(serve=UnreadablePart(f"refused {key}", "")))
    answers = [ask(path).body for path in ("/healthz", "/readyz", "/health", "/metrics", "/system-events")]
    assert [key.encode() in body for body in answers] == [False] * 5
    assert sum(b"refused" in body for body in answers) >= 3
