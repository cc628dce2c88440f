"""Messages over pipes arrive whole, in order and in time, or not at all."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradebot.adapters.plugins.protocol import HEADER, Pipes

MOST = 2**20


@dataclass
class Line:
    """A pipe from which this process also reads what it writes."""

    source: int
    sink: int
    pipes: Pipes

    def close(self) -> None:
        for end in (self.source, self.sink):
            with suppress(OSError):
                os.close(end)


@pytest.fixture
def line() -> Iterator[Line]:
    source, sink = os.pipe()
    with closing(Line(source, sink, Pipes(source, sink))) as line:
        yield line


def soon() -> float:
    return time.monotonic() + 0.02


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.binary(), st.integers(0, MOST).map(bytes)), max_size=4))
def test_messages_arrive_whole_and_in_order(line: Line, messages: list[bytes]) -> None:
    def send() -> None:
        for message in messages:
            line.pipes.put(message)

    sender = threading.Thread(target=send)
    sender.start()
    assert [line.pipes.get(MOST) for _ in messages] == messages
    sender.join()


def test_messages_time_out_but_a_waiting_one_is_returned_after_the_deadline(line: Line) -> None:
    line.pipes.put(b"there", 0.0)
    assert line.pipes.get(MOST, 0.0) == b"there"
    with pytest.raises(TimeoutError):
        line.pipes.get(MOST, soon())
    os.write(line.sink, HEADER.pack(5) + b"half")
    with pytest.raises(TimeoutError):
        line.pipes.get(MOST, soon())
    with pytest.raises(TimeoutError):
        line.pipes.put(bytes(MOST), soon())
    os.close(line.source)
    with pytest.raises(BrokenPipeError):
        line.pipes.put(b"to nobody")


def test_get_refuses_a_message_that_is_too_long(line: Line) -> None:
    os.write(line.sink, HEADER.pack(2**60))
    with pytest.raises(ValueError, match=f"{2**60} bytes are more than {MOST}"):
        line.pipes.get(MOST)


@pytest.mark.parametrize("sent", [b"", b"\0\0", HEADER.pack(5) + b"half"], ids=["nothing", "header", "message"])
def test_get_raises_when_the_sender_is_gone(line: Line, sent: bytes) -> None:
    os.write(line.sink, sent)
    os.close(line.sink)
    with pytest.raises(EOFError):
        line.pipes.get(MOST)
