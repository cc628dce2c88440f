"""Defer signals that end the process until SQLite has finished.

SQLite calls Python functions and swallows their exceptions. If a signal handler raised in such a function, the signal
would be lost and the statement would fail. Transactions are short, so signals wait until a transaction ends.
"""

from contextvars import ContextVar

_depth: ContextVar[int] = ContextVar("_depth", default=0)
"""How many `DeferredSignals` blocks a thread is in; each thread has its own context."""
_waiting: ContextVar[BaseException | None] = ContextVar("_waiting", default=None)
"""The exception that waits for the outermost block to end."""
_met: ContextVar[BaseException | None] = ContextVar("_met", default=None)
"""The exception that a signal has raised since the command began."""


def interrupt(error: BaseException) -> None:
    """Raise `error` now, or at the end of a deferring block; signal handlers (in the main thread) call this."""
    _met.set(error)
    if not _depth.get():
        raise error
    _waiting.set(error)


def begin() -> None:
    """Discard the signals that an earlier command of this process received."""
    _met.set(None)


def pending_signal() -> BaseException | None:
    """Return the exception that a signal has raised since the command began, or None.

    A library such as pydantic may replace that exception with its own, so the exception that reaches the caller doesn't
    show that a signal was the cause.
    """
    return _met.get()


class DeferredSignals:
    """A context manager that delays signal handlers' exceptions until its block ends."""

    def __enter__(self) -> None:
        """Start to delay exceptions of signal handlers."""
        _depth.set(_depth.get() + 1)

    def __exit__(self, *_: object) -> None:
        """Raise the delayed exception, if there is one, even if the block failed."""
        _depth.set(_depth.get() - 1)
        error = _waiting.get()
        if not _depth.get() and error is not None:
            _waiting.set(None)
            raise error


_HOLDING = DeferredSignals()


def defer_signals() -> DeferredSignals:
    """Return a context in which no signal interrupts the work; a deferred signal ends the process right afterward."""
    return _HOLDING
