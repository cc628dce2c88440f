"""Signals that end the process wait until SQLite is done.

SQLite calls Python functions and swallows exceptions raised in them. If a signal handler raised there, the signal
would be lost and the statement would fail. A transaction is short, so the signal waits for its end.
"""

import threading


class _Held(threading.local):
    """How many `held` blocks a thread is in, and the exception that waits for the outermost one to end."""

    depth = 0
    waiting: BaseException | None = None


_held = _Held()


def interrupt(error: BaseException) -> None:
    """Raise `error` now, or at the end of the current `held` block; signal handlers (in the main thread) call this."""
    if not _held.depth:
        raise error
    _held.waiting = error


class Holding:
    """Delays the exceptions of signal handlers until the block ends."""

    def __enter__(self) -> None:
        """Start to delay exceptions of signal handlers."""
        _held.depth += 1

    def __exit__(self, *_: object) -> None:
        """Raise the delayed exception, if there is one, even if the block failed."""
        _held.depth -= 1
        if not _held.depth and _held.waiting is not None:
            error, _held.waiting = _held.waiting, None
            raise error


_HOLDING = Holding()


def held() -> Holding:
    """Return a context in which no signal interrupts the work; a delayed one ends the process right afterwards."""
    return _HOLDING
