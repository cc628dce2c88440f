"""The stream of alerts at a real socket: what it brings, how it comes back, and what it never says."""

import contextlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.server import ServerConnection, serve

from exchange.tests.kit.app import SPEC
from exchange.tests.kit.served import Served, served
from exchange.tests.test_flow_stream import arm, ids, rows_of
from papervenue.process import create
from tradebot.adapters.flow.stream import FlowStream
from tradebot.adapters.wire.reconnecting_websocket import WebsocketTimeouts
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.flow import StreamRows

QUICK = WebsocketTimeouts(open_s=2, ping_s=0.2, first_wait_s=0.01, longest_wait_s=0.05)
TOKEN = "tok3n/with+signs"
JOINED = json.dumps(["flow-alerts", {"response": {}, "status": "ok"}])
LONG_S = 20


def websockets() -> set[threading.Thread]:
    """Return the threads that keep a websocket open."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("websocket of ")}


@contextmanager
def none_left_open() -> Iterator[None]:
    """Fail if the block leaves a websocket open; one that was just connecting has time to end by itself."""
    before = websockets()
    yield
    deadline = time.monotonic() + QUICK.open_s + 1
    while left := websockets() - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.005)


@contextmanager
def listening(url: str, key: str = "sandbox", **named: Any) -> Iterator[FlowStream]:
    with none_left_open(), contextlib.closing(FlowStream(url, key, patience=QUICK, **named)) as stream:
        yield stream


def until(stream: FlowStream, enough: Callable[[list[object], StreamRows], bool]) -> list[object]:
    rows: list[object] = []
    deadline = time.monotonic() + LONG_S
    while not enough(rows, heard := stream.take()):
        rows += heard.rows
        assert time.monotonic() < deadline, (heard, rows)
        time.sleep(0.005)
    return rows + list(heard.rows)


def joined(stream: FlowStream, times: int = 1) -> None:
    until(stream, lambda rows, heard: heard.up and heard.joined >= times)


@contextmanager
def source(behave: Callable[[ServerConnection], None], **named: Any) -> Iterator[str]:
    with serve(behave, "127.0.0.1", 0, **named) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an exchange; what a test does in a copy of it is gone afterwards."""
    folder = tmp_path_factory.mktemp("market")
    create(folder, SPEC)
    return folder


@pytest.fixture
def own(market: Path, tmp_path: Path) -> Path:
    return shutil.copytree(market, tmp_path / "exchange")


@pytest.fixture
def place(own: Path) -> Iterator[Served]:
    with served(own) as place:
        place.tick(to="open")
        yield place


def test_streamed_row_is_taken_once(place: Served) -> None:
    with listening(place.url) as stream:
        joined(stream)
        place.tick(seconds=3600)
        expected = ids(rows_of(place))
        rows: Any = until(stream, lambda rows, heard: len(rows) + len(heard.rows) >= len(expected))
        assert ids(rows) == expected
        assert stream.take().rows == ()


@pytest.mark.parametrize("what", ["dropped_stream", "stalled_stream"])
def test_stream_reconnects_after_a_connection_ends_or_stalls(place: Served, what: str) -> None:
    with listening(place.url) as stream:
        joined(stream)
        arm(place, what, nth=2)
        place.tick(seconds=3600)
        joined(stream, 2)
        place.ask("DELETE", "/exchange/v1/faults")
        before = len(rows_of(place))
        place.tick(seconds=3600)
        new = ids(rows_of(place)[before:])
        rows: Any = until(stream, lambda rows, heard: len(rows) + len(heard.rows) >= len(new))
        assert ids(rows[-len(new) :]) == new


def test_stream_reconnects_when_the_source_is_back(own: Path) -> None:
    with served(own) as first:
        port = first.port
        with listening(first.url) as stream:
            joined(stream)
            first.end()
            until(stream, lambda rows, heard: not heard.up and "can't be reached" in heard.problem)
            with served(own, port):
                joined(stream, 2)


def test_slow_reader_is_told_how_many_rows_it_lost(place: Served) -> None:
    with listening(place.url, longest_queue=3) as stream:
        joined(stream)
        place.tick(seconds=3600)
        count = len(rows_of(place))
        deadline = time.monotonic() + LONG_S
        rows: list[object] = []
        lost = 0
        while len(rows) + lost < count:
            assert time.monotonic() < deadline
            time.sleep(0.2)
            heard = stream.take()
            rows, lost = rows + list(heard.rows), heard.lost
        assert lost > 0
        assert len(rows) + lost == count


def test_renew_joins_the_channel_again(place: Served) -> None:
    with listening(place.url) as stream:
        joined(stream)
        stream.renew()
        joined(stream, 2)


def test_refused_key_is_reported_once_without_the_key(place: Served) -> None:
    with listening(place.url, TOKEN) as stream:
        with pytest.raises(OperatorError) as refused:
            until(stream, lambda rows, heard: False)
        assert refused.value.code is ExitCode.AUTHENTICATION
        assert "unusual_whales.stream" in str(refused.value.hint)
        with pytest.raises(OperatorError):
            stream.take()


def nothing(connection: ServerConnection) -> None:
    connection.recv()


def garbled(connection: ServerConnection) -> None:
    connection.recv()
    connection.send(JOINED)
    for frame in ("", "{", "[]", "null", '["flow-alerts"]', '["prices", {"id": 1}]', '["flow-alerts", {"id": "good"}]'):
        connection.send(frame)
    connection.send(b"\xff\xfe")
    connection.recv()


def unwilling(connection: ServerConnection) -> None:
    connection.recv()
    connection.send('["flow-alerts", {"response": {"reason": "no such channel"}, "status": "error"}]')
    connection.recv()


def closing(connection: ServerConnection) -> None:
    connection.recv()
    connection.send(JOINED)
    connection.close(1011, "secret " + TOKEN)


def test_stream_passes_bad_rows_on_and_ignores_other_channels() -> None:
    with source(garbled) as url, listening(url, TOKEN) as stream:
        rows = until(stream, lambda rows, heard: len(rows) + len(heard.rows) >= 7)
    assert rows == ["", "{", [], None, ["flow-alerts"], {"id": "good"}, rows[-1]]
    assert isinstance(rows[-1], str)


@pytest.mark.parametrize(
    ("behave", "problem"),
    [
        (unwilling, "refused to let us join its channel: {'reason': 'no such channel'}"),
        (closing, "closed the stream with code 1011"),
    ],
)
def test_end_of_a_connection_is_explained_in_plain_words(
    behave: Callable[[ServerConnection], None], problem: str
) -> None:
    with source(behave) as url, listening(url, TOKEN) as stream:
        until(stream, lambda rows, heard: problem in heard.problem)


def test_token_arrives_unchanged_with_any_characters() -> None:
    asked: list[str] = []

    def heard(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        garbled(connection)

    with source(heard) as url, listening(url, TOKEN) as stream:
        joined(stream)
    (address,) = map(urlsplit, asked)
    assert (address.path, parse_qs(address.query)) == ("/socket", {"token": [TOKEN]})


def test_token_appears_in_no_message_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    problems: list[str] = []

    def seen(stream: FlowStream, word: str) -> None:
        until(stream, lambda rows, heard: problems.append(heard.problem) or word in heard.problem)  # type: ignore[func-returns-value]

    with source(closing, logger=logging.Logger("server", logging.CRITICAL)) as url, listening(url, TOKEN) as stream:
        seen(stream, "1011")
    with listening("http://127.0.0.1:9", TOKEN) as stream:
        seen(stream, "reached")
    assert "tok3n" not in caplog.text + repr(problems) + repr(stream)


@pytest.mark.parametrize(
    "url", ["https://example.com", "http://api.unusualwhales.com", "http://127.0.0.1:1@example.com"]
)
def test_token_is_sent_to_the_vendor_and_this_machine_only(url: str) -> None:
    with pytest.raises(OperatorError, match="not an address"):
        FlowStream(url, TOKEN)
