"""Run verbs of this installation on one state folder, each in a process of its own that is ended after its limit."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tradebot.model.chore import STOPPED, Ended
from tradebot.text import counted

LOOK_AGAIN_S = 0.2
PATIENCE_S = 10.0
"""How long a chore may take to end by itself after SIGTERM."""
KEPT = 1500
"""How many characters of a chore's output are kept, its last ones."""


@dataclass(frozen=True, slots=True)
class OneShots:
    """Runs verbs of this installation on one state folder, each in a process of its own."""

    folder: Path
    config: str | None = None

    def __call__(self, words: Sequence[str], limit_s: float, stopping: Callable[[], bool]) -> Ended:
        """Run one verb; end its process with SIGTERM, then with SIGKILL, if it is stopped or over its limit."""
        options = ["--state-dir", str(self.folder), *(["--config", self.config] if self.config else [])]
        began = time.monotonic()
        # A session of its own: Ctrl-C in a terminal is for serve, which then ends the chore itself.
        process = subprocess.Popen(  # noqa: S603 - this interpreter and our own program
            [sys.executable, "-m", "tradebot", *words, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process:
            why, output = _watched(process, began + limit_s, stopping)
            why = f"ended after its limit of {counted(int(limit_s), 'second')}" if why == "limit" else why
            return Ended(process.wait(), why, time.monotonic() - began, output)


def _watched(
    process: "subprocess.Popen[bytes]", deadline: float, stopping: Callable[[], bool]
) -> tuple[str | None, str]:
    """Wait for a process and read what it writes; return why it was ended, or None, and its last output."""
    assert process.stdout is not None
    pipe, kept, why = process.stdout.fileno(), b"", None
    os.set_blocking(pipe, False)
    while process.poll() is None:
        if select.select([pipe], [], [], LOOK_AGAIN_S)[0]:
            kept = _more(pipe, kept)
        if why is None and (stopping() or time.monotonic() >= deadline):
            why = STOPPED if stopping() else "limit"
            process.terminate()
            deadline = time.monotonic() + PATIENCE_S
        elif why is not None and time.monotonic() >= deadline:
            process.kill()
    return why, _more(pipe, kept).decode(errors="replace")[-KEPT:].strip()


def _more(pipe: int, kept: bytes) -> bytes:
    """Return what was kept and what can be read now, only as much as is told in the end."""
    with suppress(BlockingIOError):
        while chunk := os.read(pipe, 1 << 16):
            kept = (kept + chunk)[-4 * KEPT :]
    return kept
