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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from tradebot.__main__ import main
from tradebot.exchange import process

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
    become, pipe = partial(_become, arguments, first, environ), subprocess.PIPE
    # A fork is dangerous where another thread may hold what is needed; the program begins with its own locks.
    return subprocess.Popen([PROGRAM], text=True, stdin=stdin, stdout=pipe, stderr=pipe, preexec_fn=become)  # noqa: PLW1509


def _become(arguments: Sequence[str], first: Callable[[], None] | None, environ: Mapping[str, str]) -> NoReturn:
    """Be the program, and end with it: what would be executed afterwards never is."""
    # Nothing of the tests may be collected here: the files that it would close have other numbers by then.
    gc.freeze()
    gc.enable()
    # The tests' process waits for the last of these to close.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    code = 1
    try:
        if first:
            first()
        os.environ.update(environ)
        code = _run(arguments)
    except BaseException:  # noqa: BLE001 -- it must never go on as if it were the tests
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    process._start = START
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.argv[:] = [str(PROGRAM), *arguments]
    return main()
