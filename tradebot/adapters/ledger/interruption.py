"""What ends a process by a signal waits while SQLite is at work.

SQLite calls functions of ours, and swallows what a signal's handler raises in there: the signal would be lost, and the
statement would come out as one that failed. A transaction is short, so the signal waits for its end.
"""

import threading


class _Held(threading.local):
    """How deep a thread is in what must not be cut short, and what waits for its end."""

    depth = 0
    waiting: BaseException | None = None


_held = _Held()


def interrupt(error: BaseException) -> None:
    """Raise what a signal means, at once or when what is held is done; for handlers, which run in the main thread."""
    if not _held.depth:
        raise error
    _held.waiting = error


class Holding:
    """Lets no signal cut short what stands within."""

    def __enter__(self) -> None:
        """Keep whatever a signal means from now on."""
        _held.depth += 1

    def __exit__(self, *_: object) -> None:
        """Raise what was kept, whatever came of what stands within."""
        _held.depth -= 1
        if not _held.depth and _held.waiting is not None:
            error, _held.waiting = _held.waiting, None
            raise error


_HOLDING = Holding()


def held() -> Holding:
    """Let no signal cut short what is done inside; it ends the process right afterwards, whatever came of it."""
    return _HOLDING
