"""Each fault as a raw client sees it; after each the next request is served, and a replay of the log gives it again."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exchange.tests.kit.app import KEYS
from exchange.tests.kit.served import Served, served
from papervenue.exchange import open_exchange

FAULTS = "/exchange/v1/faults"


class Reply(NamedTuple):
    """What came over the socket; `status` is 0 where the connection ended without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A client of its own for each request, that waits no longer than it is told."""

    def __init__(self, server: Served, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def arm(self, *rules: dict[str, Any]) -> None:
        named = [{"name": f"rule-{number}", **rule} for number, rule in enumerate(rules)]
        answer = self.ask("POST", FAULTS, named)
        assert answer.status == 200, answer.body

    def ask(self, method: str, path: str, body: object = None, patience_s: float = 5.0) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=patience_s)
        with closing(connection):
            try:
                connection.request(method, path, None if body is None else json.dumps(body), KEYS)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                return Reply(0, {}, b"", type(error).__name__)
            headers = {name.lower(): value for name, value in answer.getheaders()}
            try:
                return Reply(answer.status, headers, answer.read())
            except http.client.IncompleteRead as error:
                return Reply(answer.status, headers, error.partial, "IncompleteRead")

    def order(self, name: str, patience_s: float = 5.0, **others: object) -> Reply:
        body = {"symbol": "AAPL", "side": "buy", "qty": "2", "type": "market", "time_in_force": "day"}
        return self.ask("POST", "/v2/orders", {**body, "client_order_id": name, **others}, patience_s)

    def order_by_client_id(self, name: str) -> Any:
        answer = self.ask("GET", f"/v2/orders:by_client_order_id?client_order_id={name}")
        return answer.json if answer.status == 200 else None

    def log(self, *names: str) -> list[dict[str, Any]]:
        events = self.ask("GET", "/exchange/v1/log?limit=10000").json["events"]
        return [event for event in events if not names or event["event"] in names]


@pytest.fixture
def client(new_folder: Callable[[], Path]) -> Iterator[Client]:
    """Yield a client of an exchange half an hour into its first session; afterwards its log must replay."""
    folder = new_folder()
    with served(folder) as server:
        server.tick(to="open")
        server.tick(seconds=1800)
        yield Client(server, folder)
        assert server.get("/exchange/v1/status")["is_open"]
        armed = [(one.rule.name, one.seen, one.fired) for one in server.exchange.faults.book]
        server.exchange.commit()
        lines = server.exchange.log.lines()
    again = open_exchange(folder)
    assert again.log.lines()[: len(lines)] == lines
    assert [(one.rule.name, one.seen, one.fired) for one in again.faults.book] == armed


def submit(what: object, **when: object) -> dict[str, Any]:
    return {"when": {"request": "submit", **when}, "what": what}


def test_lost_reply_and_reset_end_the_connection_before_or_after_acceptance(client: Client) -> None:
    client.arm(
        submit("reply_lost", nth=1),
        submit({"reset": "before"}, nth=2),
        submit({"reset": "after"}, nth=3),
        submit({"late_arrival": "90s", "answer": "lost"}, nth=4),
    )
    ends = {name: client.order(name) for name in ("lost", "before", "after", "late", "next")}
    assert [(one.status, one.end) for one in ends.values()] == [
        (0, "RemoteDisconnected"),
        (0, "ConnectionResetError"),
        (0, "ConnectionResetError"),
        (0, "RemoteDisconnected"),
        (200, ""),
    ]
    assert [name for name in ends if client.order_by_client_id(name)] == ["lost", "after", "next"]
    fired = [(line["rule"], line["fault"], line["client_order_id"]) for line in client.log("fault_fired")]
    assert fired == [
        *(("rule-0", "reply_lost", "lost"), ("rule-1", "reset", "before")),
        *(("rule-2", "reset", "after"), ("rule-3", "late_arrival", "late")),
    ]


def test_error_status_redirect_page_and_cut_or_empty_body_come_before_or_after_acceptance(client: Client) -> None:
    points = [(code, point) for code in (429, 500, 502, 503, 504) for point in ("before", "after")]
    client.arm(
        *(
            submit({"status": code, "acceptance": point, "retry_after": "2s"}, nth=number)
            for number, (code, point) in enumerate(points, 1)
        ),
        submit({"redirect": 307, "location": "/elsewhere"}, nth=11),
        submit("html_body", nth=12),
        submit("truncated_json", nth=13),
        submit({"truncated_json": 10, "connection": "closed"}, nth=14),
        submit("empty_body", nth=15),
    )
    for code, point in points:
        answer = client.order(f"{code} {point}")
        assert (answer.status, answer.headers["retry-after"]) == (code, "2")
        if code in (429, 500):
            assert answer.json["code"] == {429: 42910000, 500: 50010000}[code]
        else:
            assert (answer.headers["content-type"][:9], answer.body[:6]) == ("text/html", b"<html>")
    moved, page, cut, broken, empty = (client.order(name) for name in ("moved", "page", "cut", "broken", "empty"))
    assert (moved.status, moved.headers["location"], moved.body) == (307, "/elsewhere", b"")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (cut.status, cut.end, cut.body[:6]) == (200, "", b'{"id":')
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        assert cut.json
    assert (broken.status, broken.end, len(broken.body)) == (200, "IncompleteRead", 10)
    assert (empty.status, empty.body) == (200, b"")
    accepted = [line["client_order_id"] for line in client.log("order_accepted")]
    assert accepted == [*(f"{code} after" for code, point in points[1::2]), "page", "cut", "broken", "empty"]


def test_rule_matches_a_percent_encoded_path(client: Client) -> None:
    client.order("named")
    client.arm(
        {"when": {"request": "order", "client_order_id": "named"}, "what": {"status": 503}},
        {"when": {"request": "GET /v2/assets/AAPL", "symbol": "AAPL"}, "what": {"status": 504}},
    )
    assert client.ask("GET", "/v2/orders%3Aby_client_order_id?client_order_id=named").status == 503
    assert client.ask("GET", "/v2/ass%65ts/%41APL").status == 504
    assert client.ask("GET", "/v2/assets/%2541APL").status == 404


def test_a_slow_drip_gives_the_right_answer_slowly_while_others_are_served(client: Client) -> None:
    client.arm({"when": {"request": "clock"}, "what": {"slow_drip": 400}})
    assert len(client.ask("GET", "/v2/account").body)
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=60) as slow:
        head = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
        slow.sendall(f"GET /v2/clock HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode())
        first = slow.recv(65536)
        assert client.ask("GET", "/v2/account").status == 200
        body = first.partition(b"\r\n\r\n")[2]
        parts = 0
        while not body.endswith(b"}"):
            body += slow.recv(65536)
            parts += 1
    assert json.loads(body)["is_open"]
    assert parts >= 2


def test_hanging_request_gets_no_answer_while_others_are_served(client: Client) -> None:
    client.arm(
        submit({"hang": "30s"}, nth=1), submit({"hang": "100ms"}, nth=2), submit({"hang": "50ms", "then": "answer"})
    )
    assert client.order("long", patience_s=0.2).end == "TimeoutError"
    assert client.order_by_client_id("long")["client_order_id"] == "long"
    assert client.order("short").end == "RemoteDisconnected"
    began = time.monotonic()
    assert client.order("late").json["client_order_id"] == "late"
    assert time.monotonic() - began >= 0.05


def test_the_clock_and_the_date_header_are_shifted(client: Client) -> None:
    right = client.ask("GET", "/v2/clock")
    client.arm({"when": {"request": "any"}, "what": {"clock_skew": "-3m"}})
    shifted = client.ask("GET", "/v2/clock")
    moments = [datetime.fromisoformat(answer.json["timestamp"]) for answer in (right, shifted)]
    assert moments[0] - moments[1] == timedelta(minutes=3)
    date = parsedate_to_datetime(shifted.headers["date"])
    assert timedelta(minutes=2, seconds=50) < datetime.now(UTC) - date < timedelta(minutes=3, seconds=10)
    assert client.order("shifted").headers["date"] != right.headers["date"]


def test_control_is_never_touched_and_the_next_request_on_a_kept_connection_is_served(client: Client) -> None:
    client.arm({"when": {"request": "any", "nth": [1, 2]}, "what": {"status": 503}})
    with closing(http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=60)) as connection:
        statuses = []
        for path in ("/exchange/v1/status", "/v2/clock", "/v2/account", "/v2/clock", FAULTS):
            connection.request("GET", path, headers=KEYS)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    assert statuses == [200, 503, 503, 200, 200]


def test_a_client_that_resets_in_the_middle_of_its_body_has_asked_for_nothing(client: Client) -> None:
    client.arm(submit("reply_lost"))
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=60) as half:
        half.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400\r\n\r\n{")
        half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert client.ask("GET", FAULTS).json["faults"][0]["seen"] == 0
    assert client.log("order_accepted") == []
