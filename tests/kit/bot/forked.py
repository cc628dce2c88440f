"""A command line in its own process that begins as a copy of the tests' process, with everything imported.

It has its own standard streams, signals and exit code, and no open file of the tests. What a new interpreter does
otherwise (its encoding, what it imports and when) is for tests that start one; so is a folder whose databases are open
here, because SQLite would take them for open there too.
"""

import gc
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from papervenue import process
from tradebot.__main__ import main

PROGRAM = Path(sys.executable).with_name("tradebot")
START = process._start
"""How an exchange is started, whatever the tests may do instead with files that are not open here."""


def run(
    arguments: Sequence[str], *, first: Callable[[], None] | None = None, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command line to its end, under further settings; `first` is done by its process before anything else."""
    with start(arguments, subprocess.DEVNULL, first=first, **environ) as program:
        try:
            texts = program.communicate(timeout=120)
        finally:
            program.kill()
    return subprocess.CompletedProcess(arguments, program.returncode, *texts)


def start(
    arguments: Sequence[str],
    stdin: int = subprocess.DEVNULL,
    *,
    first: Callable[[], None] | None = None,
    **environ: str,
) -> "subprocess.Popen[str]":
    """Start a command line with its output in pipes."""

    def work() -> int:
        if first:
            first()
        os.environ.update(environ)
        return _run(arguments)

    return _forked(work, stdin)


def python(code: str, *arguments: object, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
    """Start a process that runs code as `python -c` would, with its output in pipes."""

    def work() -> int:
        _begin(["-c", *map(str, arguments)])
        exec(code, {"__name__": "__main__"})  # noqa: S102 -- a test's own code
        return 0

    return _forked(work, stdin)


def ran(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run code in a process to its end."""
    with python(code, *arguments) as process:
        texts = process.communicate(timeout=120)
    return subprocess.CompletedProcess(["-c", *map(str, arguments)], process.returncode, *texts)


def _forked(work: Callable[[], int], stdin: int) -> "subprocess.Popen[str]":
    """Fork a process that does the work and ends with its exit code."""
    become, pipe = partial(_become, work), subprocess.PIPE
    # A fork is dangerous where another thread may hold what is needed; the program begins with its own locks.
    return subprocess.Popen([PROGRAM], text=True, stdin=stdin, stdout=pipe, stderr=pipe, preexec_fn=become)  # noqa: PLW1509


def _become(work: Callable[[], int]) -> NoReturn:
    """Be the program, and end with it: what would be executed afterwards never is."""
    # Nothing of the tests may be collected here: the files that it would close have other numbers by then.
    gc.freeze()
    gc.enable()
    # The tests' process waits for the last of these to close.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    code = 1
    try:
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- it must never go on as if it were the tests
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    _begin([str(PROGRAM), *arguments])
    return main()


def _begin(words: Sequence[str]) -> None:
    """Have signals, warnings and streams as a new interpreter has them, and these words as its arguments."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    process._start = START
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.argv[:] = words
