"""Two processes that run a command line at the same moment."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from multiprocessing.synchronize import Barrier

from tests.bot import Said
from tradebot.__main__ import main

PATIENCE_S = 120
_gates: list[Barrier] = []
"""Where this process waits for the other one, once it has begun."""


@contextmanager
def two_processes() -> Iterator[Callable[..., list[Said]]]:
    """Yield a function that runs a command line in two processes at once and returns how each run ended.

    The same two processes run every command line, so each of them imports everything only once.
    """
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(2)
    with ProcessPoolExecutor(2, mp_context=context, initializer=_begin, initargs=(gate,)) as both:
        yield lambda *arguments: list(both.map(_says, [arguments] * 2, timeout=PATIENCE_S))


def _begin(gate: Barrier) -> None:
    _gates.append(gate)


def _says(arguments: tuple[str, ...]) -> Said:
    """Wait for the other process, then run a command line."""
    out, err = StringIO(), StringIO()
    _gates[0].wait(PATIENCE_S)
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Said(code, out.getvalue(), err.getvalue())
