"""The progress of a backtest on a terminal: sessions done, sessions and bars a second, and when it will end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commands.shared.surface import console

Told = Callable[[int, int, int], None]
"""Is told how many sessions are done, how many there are, and how many bars those done had."""


@contextmanager
def progress(what: str, done_before: int, bars_before: int) -> Iterator[Told]:
    """Yield what draws a bar on stderr if it is a terminal, and otherwise does nothing.

    What an earlier process has done isn't part of the rate.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, bars: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    started = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=console(err=True), transient=True) as drawn:
        task = drawn.add_task(what, total=None, rate="")

        def tell(done: int, total: int, bars: int) -> None:
            rate = rate_of(done - done_before, bars - bars_before, time.monotonic() - started)
            drawn.update(task, completed=done, total=total, rate=rate)

        yield tell


def rate_of(sessions: int, bars: int, elapsed_s: float) -> str:
    if elapsed_s <= 0:
        return ""
    return f"{sessions / elapsed_s:,.1f} sessions/s, {bars / elapsed_s:,.0f} bars/s"
