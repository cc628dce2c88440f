"""Put and get messages over a pair of pipes. Each is preceded by its length, and may have a deadline."""

import os
import select
import struct
import time
from contextlib import suppress

HEADER = struct.Struct("!Q")
AT_ONCE = 2**20
"""How many bytes are asked for at once."""


class Pipes:
    """One end of a conversation: the file descriptor to read from and the one to write to.

    A deadline is a reading of the monotonic clock, in seconds; without one, a call may wait forever. Both calls raise
    TimeoutError after the deadline. Any other OSError, and EOFError, means that the other end is gone.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        for end in (source, sink):
            os.set_blocking(end, False)

    def put(self, message: bytes, deadline: float | None = None) -> None:
        """Send one message to the other end."""
        for part in (HEADER.pack(len(message)), message):
            rest = memoryview(part)
            while rest:
                _wait(self._sink, select.POLLOUT, deadline)
                with suppress(BlockingIOError):
                    rest = rest[os.write(self._sink, rest) :]

    @property
    def is_empty(self) -> bool:
        """Return True if there is nothing to get now, even if the other end is gone."""
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        return not any(events & select.POLLIN for _, events in poll.poll(0))

    def get(self, most: int, deadline: float | None = None) -> bytes:
        """Return one message; ValueError if it is longer than `most` bytes."""
        (length,) = HEADER.unpack(self._read(HEADER.size, deadline))
        if length > most:
            raise ValueError(f"{length} bytes are more than {most}")
        return self._read(length, deadline)

    def _read(self, count: int, deadline: float | None) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            _wait(self._source, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                part = os.read(self._source, min(count - len(parts), AT_ONCE))
                if not part:
                    raise EOFError
                parts += part
        return bytes(parts)


def _wait(end: int, event: int, deadline: float | None) -> None:
    """Wait until an end is ready or has been closed."""
    poll = select.poll()
    poll.register(end, event)
    left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
    if not poll.poll(None if left_s is None else left_s * 1000):
        raise TimeoutError
