"""Act at the points between the steps of the adapters: listen to them, fail there, or be killed there."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tradebot.adapters import failpoint


@contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[None]:
    """Call the hook with the name of each point that the block reaches."""
    failpoint.hook = hook
    try:
        yield
    finally:
        failpoint.hook = None


def points_of(act: Callable[[], object]) -> list[str]:
    """Return the points that an act reaches."""
    reached: list[str] = []
    with hooked(reached.append):
        act()
    return reached


@contextmanager
def at_point(point: str | int, act: Callable[[], object]) -> Iterator[None]:
    """Do something whenever a point of this name is reached, or at the point of this number, from 0."""
    reached: list[str] = []

    def hook(name: str) -> None:
        number = len(reached)
        reached.append(name)
        if point in (name, number):
            failpoint.hook = None
            try:
                act()
            finally:
                failpoint.hook = hook

    with hooked(hook):
        yield


def raising(error: BaseException) -> Callable[[], None]:
    """Return what raises an error."""

    def act() -> None:
        raise error

    return act


def killed_at(point: str | int, act: Callable[[], object]) -> None:
    """Do something in a fork, and require that SIGKILL ended it at a point."""
    child = os.fork()
    if not child:
        with at_point(point, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            act()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
