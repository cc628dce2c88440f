"""Fork exchanges from one process that has imported everything, instead of starting an interpreter for each.

That process is a nursery: it has one thread and opens no files. Each child runs the exchange's own `main`, with the
arguments, environment, folder and output that `papervenue.process` gives an exchange.
"""

import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest

from papervenue import process
from papervenue.faces.trading_json import calendar_json
from papervenue.market.sessions import build_calendar, full_calendar
from tests.suite.calendars import know_once
from tests.suite.meter import METER

Start = Callable[[Path, float, float], int]

shared: socket.socket | None = None
"""How a worker reaches the nursery of all workers, where there is one."""
_IN_A_NEW_INTERPRETER = process._start
_PRELOADED = (
    *("papervenue.server", "uvicorn.lifespan.off", "papervenue.market.earlier_history"),
    *("papervenue.faces.alpaca", "papervenue.faces.kraken.face"),
)
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""numpy would start more of them, and a fork keeps one."""
_ANY_DAY = date(2026, 11, 16)
_CHUNK = 65_536
_FAILED = 1
_DOOR = "TESTS_NURSERY"
"""The variable that names the file by which a program of the tests reaches their nursery."""


class Nursery:
    """Starts exchanges in place of `process`, with the same outcome; its own process starts with the first of them."""

    def __init__(self, control: socket.socket | None = None) -> None:
        self._lock = threading.Lock()
        self._control = control
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, state_dir: Path, idle_exit_s: float, timeout_s: float) -> int:
        """Start a server that detaches once it listens; return the exit code of that step."""
        arguments = ["--state", str(state_dir), "--detach", "--idle-exit", str(idle_exit_s)]
        request = {"arguments": arguments, "folder": str(state_dir), "environ": process._inherited_environ(os.environ)}
        ours, theirs = socket.socketpair()
        with ours, process._server_log(state_dir) as log:
            ours.settimeout(timeout_s)
            with theirs:
                socket.send_fds(self._door(), [b"."], [theirs.fileno(), log.fileno()])
            ours.sendall(json.dumps(request).encode())
            ours.shutdown(socket.SHUT_WR)
            code = int(_all_of(ours) or _FAILED)
        port = process._read_port(state_dir)
        if port is not None:
            METER.watch(port["pid"])
        return code

    def door(self) -> int:
        """Return the file by which another process can ask this nursery; its own process runs from now on."""
        return self._door().fileno()

    def close(self) -> None:
        """End the nursery; the exchanges it forked keep running."""
        if self._control is not None and self._process is not None:
            self._control.close()
            # It may be at work for an exchange that nobody will start any more.
            self._process.terminate()
            self._process.wait()

    def _door(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                self._control, theirs = socket.socketpair()
                with theirs:
                    command = [sys.executable, "-m", "exchange.tests.kit.nursery"]
                    self._process = subprocess.Popen(
                        command,
                        stdin=theirs.fileno(),
                        cwd=Path(__file__).resolve().parents[3],
                        env={**os.environ, **_ONE_THREAD},
                        start_new_session=True,
                    )
            return self._control


@contextmanager
def starting_with(start: Start) -> Iterator[None]:
    """Start this process's exchanges with the given function while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_start", start)
        yield


def without_nursery() -> AbstractContextManager[None]:
    """Start this process's exchanges as the product does, each in a new interpreter, while the block runs."""
    return starting_with(_IN_A_NEW_INTERPRETER)


def doors() -> dict[str, str]:
    """Return the variable by which a program that is started now finds this process's nursery, and its file."""
    owner = getattr(process._start, "__self__", None)
    # Threads serve this process's own exchanges; programs of their own need the nursery behind them.
    owner = getattr(getattr(owner, "elsewhere", None), "__self__", owner)
    return {_DOOR: str(owner.door())} if isinstance(owner, Nursery) else {}


@contextmanager
def of_the_tests() -> Iterator[None]:
    """Start a program's exchanges from the nursery of the tests that started it, if there is one."""
    door = os.environ.pop(_DOOR, "")
    if not door:
        yield
        return
    with socket.socket(fileno=int(door)) as control, starting_with(Nursery(control).start):
        yield


def _all_of(stream: socket.socket) -> bytes:
    return b"".join(iter(lambda: stream.recv(_CHUNK), b""))


def main() -> None:
    """Fork an exchange for each request, one at a time, until the last caller is gone."""
    prepare()
    with socket.socket(fileno=os.dup(0)) as control:
        fork_on_request(control)


def prepare() -> None:
    """Import what an exchange needs."""
    know_once()
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()


def fork_on_request(control: socket.socket) -> None:
    """Be a nursery until the last caller is gone."""
    while True:
        said, files, _, _ = socket.recv_fds(control, 1, 2)
        if not said:
            return
        reply, log = files
        with socket.socket(fileno=reply) as answer, os.fdopen(log, "wb"):
            outcome = json.loads(_all_of(answer))
            child = os.fork()
            if not child:
                control.close()
                answer.close()
                _serve(outcome, log)
            _, status = os.waitpid(child, 0)
            # The caller may have given up waiting.
            with suppress(OSError):
                answer.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        # The first caller need not wait for this.
        _make_calendar()
        gc.freeze()


@cache
def _make_calendar() -> None:
    """Work out, once, the days of all years: each exchange that is asked for them would take two CPU-seconds."""
    for session, following in pairwise(full_calendar(build_calendar(_ANY_DAY, 1)).all):
        calendar_json(session, following.date)


def _serve(request: dict[str, Any], log: int) -> NoReturn:
    """Be the process of one exchange."""
    code = _FAILED
    try:
        os.setsid()
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environ"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, file in enumerate((nothing, log, log)):
            os.dup2(file, number)
        os.closerange(3, max(nothing, log) + 1)
        sys.argv = ["papervenue", *request["arguments"]]
        code = importlib.import_module("papervenue.__main__").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else _FAILED
    except BaseException:  # noqa: BLE001 -- a child must never run on as if it were the nursery
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
