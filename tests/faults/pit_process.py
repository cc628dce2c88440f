"""A run of the pit's bot as a process of its own, which a real SIGKILL ends, over a socket to this process's exchange.

The bot is a forked child, and this process is its Gateway while it lives. So the connection ends as the kernel ends it,
and what the child had sent by then has arrived, in part or not at all, as it was drawn.
"""

import asyncio
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from ib_async.connection import Connection

from exchange.tests.kit.cable import Cable, is_change
from papervenue.faces.tws.wire import Frames
from tests.kit.bot.futures import FuturesDay
from tests.kit.bot.near import ERRED, Verb
from tradebot.venues.ibkr.link import LinkTimeouts

DIED = -int(signal.SIGKILL)
POINT, PROBLEM, CODE = "point", "problem", "code"
MESSAGE, CHANGE = "message", "change"
"""What a process may be killed at: a failpoint that it reaches, or a message of it that the Gateway has got."""
LONGEST_S, LOOKS_EACH_S = 60, 0.02
OVER_A_SOCKET = LinkTimeouts(5.0, 5.0, 5.0, 5.0, reads_a_second=0)
_GREETING, _LENGTH = 4, 4
_CONNECTED, _NEW_LOOP = Connection.connectAsync, asyncio.new_event_loop

Nothing = Callable[[], None]


class Fate(NamedTuple):
    """What a process is killed at, the n-th time, and whether a message that is fatal has arrived all the same."""

    kind: str = POINT
    number: int = 0
    arrives: bool = True


LIVES = Fate()


class Ended(NamedTuple):
    """How a process ended: its exit code or DIED, how many messages and changes came of it, and what it told."""

    code: int
    points: tuple[str, ...]
    messages: int
    changes: int
    problems: tuple[str, ...]

    def count(self, kind: str) -> int:
        """Return how often a process may be killed at this."""
        return {POINT: len(self.points), MESSAGE: self.messages, CHANGE: self.changes}[kind]


def run(day: FuturesDay, cable: Cable, verb: Verb, fate: Fate = LIVES, prepare: Nothing = lambda: None) -> Ended:
    """Run a verb in a process of its own; `prepare` is done there first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _Process(day, writer, fate).live(listener.getsockname()[1], verb, prepare)
        os.close(writer)
        listener.setblocking(False)
        switch = _Switchboard(cable, listener, reader, child, fate)
        switch.serve()
        _, status = os.waitpid(child, 0)
    os.close(reader)
    told = [json.loads(line) for line in switch.told.decode().splitlines()]
    by_kind = {kind: tuple(str(text) for what, text in told if what == kind) for kind in (POINT, PROBLEM, CODE)}
    end = os.waitstatus_to_exitcode(status)
    if end != DIED and not by_kind[CODE]:
        raise AssertionError(f"a process of the bot ended with {end}")
    code = DIED if end == DIED else int(by_kind[CODE][0])
    return Ended(code, by_kind[POINT], switch.messages, switch.changes, by_kind[PROBLEM])


class _Process:
    """The child."""

    def __init__(self, day: FuturesDay, writer: int, fate: Fate) -> None:
        self._day, self._writer = day, writer
        self._left = fate.number if fate.kind == POINT else 0

    def live(self, port: int, verb: Verb, prepare: Nothing) -> None:
        """Run the verb, and leave without any clean-up that a killed process would not do either."""
        gc.disable()
        try:
            vars(asyncio)["new_event_loop"] = _NEW_LOOP
            Connection.connectAsync = _CONNECTED
            self._day.port, self._day.patience = port, OVER_A_SOCKET
            prepare()
            code = self._day.run(verb, self._reached)
            for problem in self._day.problems:
                self._tell(PROBLEM, problem)
            self._tell(CODE, str(code))
        finally:
            os._exit(ERRED if sys.exc_info()[0] else 0)

    def _reached(self, point: str) -> None:
        # Written before the kill: a pipe keeps what a dead process has written.
        self._tell(POINT, point)
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, kind: str, text: str) -> None:
        os.write(self._writer, f"{json.dumps((kind, text))}\n".encode())


class _Switchboard:
    """The Gateway's ends of a process's connections, until the process has ended."""

    def __init__(self, cable: Cable, listener: socket.socket, reader: int, child: int, fate: Fate) -> None:
        self._cable, self._child, self._fate = cable, child, fate
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self._accept)
        self.selector.register(reader, selectors.EVENT_READ, self._listen)
        self._listener, self._reader = listener, reader
        self.later = list[tuple[float, Nothing]]()
        self.told = b""
        self.messages = self.changes = 0
        self.dead = self._over = False
        self._lines = list[_Line]()

    def serve(self) -> None:
        """Answer until nothing comes of the process any more."""
        until = time.monotonic() + LONGEST_S
        while not self._over:
            if time.monotonic() > until:
                os.kill(self._child, signal.SIGKILL)
                raise AssertionError("a process of the bot has not ended")
            for key, _ in self.selector.select(LOOKS_EACH_S if self.later else 1.0):
                key.data()
            now = time.monotonic()
            due, self.later = [do for at, do in self.later if at <= now], [one for one in self.later if one[0] > now]
            for do in due:
                do()
        for line in self._lines:
            # What a dead process had written arrives.
            line.hear()
            line.close()
        self.selector.close()

    def _accept(self) -> None:
        there, _ = self._listener.accept()
        self._lines.append(_Line(self, self._cable, there))

    def _listen(self) -> None:
        told = os.read(self._reader, 65536)
        self.told += told
        self._over = not told

    def arrived(self, fields: list[str]) -> bool:
        """Count a message; return False if it was fatal, and is lost with its process."""
        change = is_change(fields)
        self.messages += 1
        self.changes += change
        count = {MESSAGE: self.messages, CHANGE: self.changes if change else 0}.get(self._fate.kind, 0)
        if self.dead or not self._fate.number or count != self._fate.number:
            return not self.dead
        os.kill(self._child, signal.SIGKILL)
        self.dead = not self._fate.arrives
        return self._fate.arrives


class _Line:
    """One connection, message by message."""

    def __init__(self, board: _Switchboard, cable: Cable, there: socket.socket) -> None:
        self._board, self._cable, self._there = board, cable, there
        self._frames, self._waiting, self._greeted, self._open = Frames(), b"", False, True
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        board.selector.register(there, selectors.EVENT_READ, self.hear)
        self._session = cable.session(self)

    def hear(self) -> None:
        """Take what has come."""
        while self._open:
            there = b""
            try:
                there = self._there.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                pass
            if not there:
                self.close()
                return
            self._waiting += there
            self._take()

    def _take(self) -> None:
        while self._open:
            head = 0 if self._greeted else _GREETING
            size = head + _LENGTH + int.from_bytes(self._waiting[head : head + _LENGTH], "big")
            if len(self._waiting) < max(size, head + _LENGTH):
                return
            message, self._waiting = self._waiting[:size], self._waiting[size:]
            fields = next(iter(self._frames.read(message)))
            if not self._greeted or self._board.arrived(fields):
                self._greeted = True
                self._session.receive(message)
                self.record()

    def send(self, data: bytes) -> None:
        """Tell the process something, if it lives."""
        if self._open:
            with suppress(OSError):
                self._there.setblocking(True)
                self._there.sendall(data)

    def close(self) -> None:
        """End the connection, from either end."""
        if self._open:
            self._open = False
            self._board.selector.unregister(self._there)
            self._there.close()
            self._session.closed()

    def record(self) -> None:
        """Write what has been done into the exchange's log."""
        self._cable.exchange.record()

    def later(self, seconds: float, do: Nothing) -> None:
        """Do something once so much time has passed."""
        self._board.later.append((time.monotonic() + seconds, do))
