"""Health over HTTP on real sockets: bounded, on loopback only, and alive while the rest of the process hangs.

`/metrics`: both formats are read back by the client library's own parsers, and hold ages and counts.
"""

import http.client
import math
import select
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from commands.serve import health_server, web_pages
from commands.serve.web import serve_pages
from commands.serve.web_pages import ResponseData, metrics
from tests.commands.serve.test_web_pages import asking, looked
from tests.kit.core.evidence import cycle, past
from tests.kit.values import SHIPPED, ago
from tradebot import __version__
from tradebot.adapters.state import serve_status as notes
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.judging.evidence import UnreadablePart
from tradebot.judging.pass_health import TABLE
from tradebot.model.struct_tools import replace

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
def test_request_that_is_too_long_or_not_http_is_refused(
    app: App, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes
) -> None:
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
        assert (status, b"can't be read in time" in body) == (503, True)
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
