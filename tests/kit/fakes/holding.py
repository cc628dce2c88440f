"""Another process that holds a lock until it is killed or its standard input ends."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextmanager
def another_process(taking: str, *words: object) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that takes something by a context manager, an expression that may use `sys.argv` and `folder`."""
    code = (
        "import sys; from pathlib import Path; from tests.kit.adapters.alpaca import intent\n"
        "from tradebot.adapters.state import lock, send_lock\n"
        f"folder = Path(sys.argv[1])\nwith {taking}:\n    print('held', flush=True); sys.stdin.read(1)\n"
    )
    command = [sys.executable, "-c", code, *map(str, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
