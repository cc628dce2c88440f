"""Exchanges for tests, started by a helper process that has imported the server once and forks for each of them.

Only the start is cheaper than that of `process.ensure`: what runs is the program that it runs, and it ends as it does.
Tests of the start itself use the real one.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tradebot.exchange import __main__ as program
from tradebot.exchange import process
from tradebot.exchange.private_files import open_own
from tradebot.exchange.state import SERVER_LOG_FILE

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("HOME", "LANG", "PATH", "TMPDIR", "PYTHONDONTWRITEBYTECODE")
"""What an exchange gets of the environment: none of the keys that a test may have set."""


def started(exchange: Path) -> None:
    """Start the exchange of a folder in the background, as a verb does that finds none running."""
    starter = _starter()
    assert starter.stdin is not None
    assert starter.stdout is not None
    starter.stdin.write(f"{json.dumps(str(exchange.resolve()))}\n")
    starter.stdin.flush()
    code = starter.stdout.readline()
    assert code == "0\n", f"{exchange} did not start: {code}{(exchange / SERVER_LOG_FILE).read_text()}"
    until = time.monotonic() + 20
    while process.running(exchange) is None:
        assert time.monotonic() < until, f"{exchange} does not answer"
        time.sleep(0.002)


@functools.cache
def _starter() -> "subprocess.Popen[str]":
    command, environ = [sys.executable, "-m", "tests.exchanges"], {n: os.environ[n] for n in KEPT if n in os.environ}
    pipe = subprocess.PIPE
    starter = subprocess.Popen(command, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, text=True)
    atexit.register(starter.communicate)
    return starter


def main() -> None:
    """Start an exchange for each folder that is read, and answer with the exit code of its start."""
    from tradebot.exchange import server  # noqa: F401 -- imported here, before the first fork

    for line in sys.stdin:
        child = os.fork()
        if not child:
            raise SystemExit(_serve(Path(json.loads(line))))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _serve(exchange: Path) -> int:
    os.setsid()
    os.chdir(exchange)
    log = open_own(exchange / SERVER_LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.argv[1:] = ["--state", str(exchange), "--detach", "--idle-exit", "900"]
    return program.main()


if __name__ == "__main__":
    main()
