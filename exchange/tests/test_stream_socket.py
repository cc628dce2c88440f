"""One client's socket without a network: queueing, slow clients and closing."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from papervenue.streams import socket as module
from papervenue.streams.socket import Message, Socket

FAREWELL = Message({"farewell": True})


class Transport:
    """Remembers whether it was cut off, and then tells the connection so."""

    def __init__(self, inbox: "asyncio.Queue[dict[str, Any]]") -> None:
        self.aborted = False
        self._inbox = inbox

    def abort(self) -> None:
        self.aborted = True
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})


class Wire:
    """Both ends of an ASGI websocket; `room` is how many messages the client takes before it stops reading."""

    def __init__(self, room: float = float("inf")) -> None:
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.transport = Transport(self.inbox)
        self.sent: list[dict[str, Any]] = []
        self.room = room
        scope = {"headers": [], "state": {"transport": self.transport}}
        self.socket = Socket(scope, self.inbox.get, self._send, binary=True, farewell=FAREWELL)

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self.room -= 1
        if self.room < 0:
            await asyncio.Event().wait()
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def serving(self, hear: Callable[[object], None] = lambda message: None) -> "asyncio.Task[None]":
        return asyncio.create_task(self.socket.serve(hear))

    async def disconnect(self, serving: "asyncio.Task[None]") -> None:
        """Disconnect the client, and wait until it is served no more."""
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await serving

    def bodies(self) -> list[bytes]:
        return [message["bytes"] for message in self.sent if message["type"] == "websocket.send"]


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test for at most five seconds."""

    @wraps(test)
    def run(*given: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*given, **named), 5))

    return run


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@in_a_loop
async def test_client_that_never_reads_is_cut_off_and_its_queue_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_QUEUE", 10)
    monkeypatch.setattr(module, "_LAST_WORDS_S", 0.01)
    wire = Wire(room=2)
    serving = wire.serving()
    await turns()
    for number in range(1000):
        wire.socket.put(Message(number))
        if number % 5 == 0:
            await turns(2)
    await serving
    assert wire.transport.aborted
    assert wire.bodies() == [b"0", b"1"]


@in_a_loop
async def test_slow_client_is_told_why_it_is_closed_when_it_reads_again_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST_QUEUE", 10)
    wire = Wire()
    serving = wire.serving()
    await turns()
    for number in range(12):
        wire.socket.put(Message(number))
    await serving
    assert wire.bodies() == [b'{"farewell":true}']
    assert wire.sent[-1] == {"type": "websocket.close", "code": 1008, "reason": "slow client"}
    assert not wire.transport.aborted


@in_a_loop
async def test_news_are_made_only_while_the_client_reads() -> None:
    wire = Wire(room=3)
    numbers = iter(range(100))
    wire.socket.news = lambda: map(Message, numbers)
    serving = wire.serving()
    wire.socket.wake()
    await turns(100)
    assert wire.bodies() == [b"0", b"1", b"2"]
    assert next(numbers) == 4
    await wire.disconnect(serving)


@in_a_loop
async def test_connection_is_cut_off_when_its_writer_fails() -> None:
    wire = Wire()
    wire.socket.news = lambda: iter([Message({1, 2})])
    serving = wire.serving()
    wire.socket.wake()
    with pytest.raises(TypeError):
        await serving
    assert wire.transport.aborted


@in_a_loop
async def test_queued_messages_are_sent_before_news() -> None:
    wire = Wire()
    left = iter([Message("source")])
    wire.socket.news = lambda: left
    wire.socket.put(Message("queued"))
    serving = wire.serving()
    await turns()
    assert wire.bodies() == [b'"queued"', b'"source"']
    await wire.disconnect(serving)


@in_a_loop
async def test_messages_of_a_closing_client_are_ignored() -> None:
    messages: list[object] = []
    wire = Wire(room=0)
    serving = wire.serving(messages.append)
    await turns()
    wire.socket.put(Message("stuck"))
    await turns()
    wire.socket.close(1008, "enough")
    wire.inbox.put_nowait({"type": "websocket.receive", "text": "{}"})
    await wire.disconnect(serving)
    assert messages == []
