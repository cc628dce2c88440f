"""The process that has imported everything that is tested, and forks a worker for each client that asks."""

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from exchange.tests.kit import nursery
from tests.suite import product


def main() -> None:
    """Import everything, then fork a worker for each caller, until SIGTERM."""
    product.import_all()
    gc.freeze()
    nursery.shared = _nursery()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end())
    with socket.socket(fileno=os.dup(0)) as listener:
        while True:
            caller, _ = listener.accept()
            _, files, _, _ = socket.recv_fds(caller, 1, 3)
            if os.fork() == 0:
                listener.close()
                _work(caller, files)
            caller.close()
            for file in files:
                os.close(file)
            _reap(os.WNOHANG)


def _nursery() -> socket.socket:
    """Fork the process that forks the exchanges of all workers; return the socket by which it is asked."""
    ours, theirs = socket.socketpair()
    if os.fork():
        theirs.close()
        return ours
    ours.close()
    os.setsid()
    nursery.prepare()
    nursery.fork_on_request(theirs)
    os._exit(0)


def _reap(flags: int) -> None:
    """Wait for the workers that have ended, so that what they spent is counted."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, flags)[0]:
            pass


def _end() -> NoReturn:
    """Let the nursery end, as it does when nobody can ask it anymore, and wait for it and for the workers."""
    if nursery.shared:
        nursery.shared.close()
    _reap(0)
    os._exit(0)


def _work(caller: socket.socket, files: list[int]) -> NoReturn:
    """Be a worker: run what execnet sends, as a new interpreter would. The caller hears of the end by `caller`."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    caller.sendall(b"%d\n" % os.getpid())
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.argv = ["-c"]
    code = 1
    try:
        exec(eval(sys.stdin.readline()), {"__name__": "__main__"})  # noqa: S102, S307 -- so execnet begins
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
