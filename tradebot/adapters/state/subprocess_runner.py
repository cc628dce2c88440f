"""Run tradebot commands on one state folder, each in its own process and with a time limit."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, convert, to_builtins

from tradebot.errors import ExitCode
from tradebot.model.sentences import pluralize
from tradebot.model.serving import STOPPED, ChoreEnd
from tradebot.model.variables import CONFIRMED, HANDED_OVER


class ConfirmedAt(StrEnum):
    """Where the user confirmed a verb."""

    PAGE = "page"
    CHAT = "chat"


TO_START = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"})
"""The environment variables needed from the very start, besides those that begin with PYTHON."""
LOOK_AGAIN_S = 0.2
PATIENCE_S = 10.0
"""How long a chore may take to end after SIGTERM, in seconds."""
KEPT = 1500
"""How many of the last characters of a chore's output are stored by default."""


class Confirmation(Struct, frozen=True):
    """What the user typed to confirm a verb elsewhere than at a terminal: on a page, or in the chat.

    `token` is the pages' token, if the user typed it again to confirm.
    """

    source: ConfirmedAt
    typed: str
    token: str | None = None


class OneShots(Struct, frozen=True):
    """Runs tradebot commands on one state folder, each in a separate process.

    At most `kept` characters of a command's output are returned. `name` replaces the user's name in the command's
    records. Commands run in `working_folder`, or else in this process's folder, and read the `.env` file there.
    """

    folder: Path
    config: str | None = None
    kept: int = KEPT
    name: str | None = None
    working_folder: Path | None = None

    def __call__(
        self,
        words: Sequence[str],
        limit_s: float,
        stopping: Callable[[], bool],
        confirmation: Confirmation | None = None,
    ) -> ChoreEnd:
        """Run one verb; end its process with SIGTERM, then with SIGKILL, if `stopping` returns True or the time is up.

        The process gets a confirmation through a pipe, so that its command line and environment never show the
        confirmation.
        """
        options = ["--state-dir", str(self.folder), *(["--config", self.config] if self.config else [])]
        needed = {name: text for name, text in os.environ.items() if name in TO_START or name.startswith("PYTHON")}
        began = time.monotonic()
        ours, theirs = os.pipe()
        try:
            # It has its own session: Ctrl-C in a terminal is for serve, which then ends the chore itself.
            process = subprocess.Popen(  # noqa: S603 - this interpreter and our own program
                [sys.executable, "-m", "tradebot", *words, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.working_folder,
                env={**needed, HANDED_OVER: f"{ours} {os.getpid()}"},
                pass_fds=(ours,),
            )
        finally:
            os.close(ours)
        with process:
            # The pipe is broken if the process has already ended.
            with suppress(BrokenPipeError), open(theirs, "w") as to:
                handed = {**os.environ, **({"USER": self.name} if self.name else {})}
                json.dump({**handed, CONFIRMED: confirmation and to_builtins(confirmation)}, to)
            why, output = _watch(process, began + limit_s, stopping, self.kept)
            why = f"ended after its limit of {pluralize(int(limit_s), 'second')}" if why == "limit" else why
            return ChoreEnd(process.wait(), why, time.monotonic() - began, output)


def take_over(environ: MutableMapping[str, str], end_with_parent: Callable[[int], object]) -> None:
    """Use the environment that the parent process passed in a variable, if it did so, and end when the parent ends.

    `end_with_parent` makes the system send this process a signal when its parent ends, or raises OSError if it can't.
    Without that signal, a chore would continue without a time limit after `serve` was killed, and the next process
    would run the chore's slot at the same time.
    """
    named = environ.pop(HANDED_OVER, None)
    if named is None:
        return
    sys.argv[0] = "tradebot"  # People read this output, and type the program's name.
    pipe, starter = map(int, named.split())
    with suppress(OSError):
        end_with_parent(signal.SIGTERM)
        if os.getppid() != starter:
            # The parent ended before that took effect.
            sys.exit(ExitCode.TERMINATED)
    with open(pipe) as text_iowrapper:
        handed = json.load(text_iowrapper)
    if (confirmation := handed.pop(CONFIRMED, None)) is not None:
        accept_confirmation(convert(confirmation, Confirmation))
    environ.update(handed)


_confirmations: list[Confirmation] = []


def accept_confirmation(confirmation: Confirmation) -> None:
    """Store what the user typed on a page or in the chat, as the confirmation of this process's verb."""
    _confirmations.append(confirmation)


def take_confirmation() -> Confirmation | None:
    """Return what the user typed on a page or in the chat to confirm this process's verb.

    Return None if the user typed nothing, or if an earlier call returned the text already.
    """
    return _confirmations.pop() if _confirmations else None


def _watch(
    process: "subprocess.Popen[bytes]", deadline: float, stopping: Callable[[], bool], most: int
) -> tuple[str | None, str]:
    """Wait for a process and read its output; return why it was ended, or None, and the end of its output."""
    assert process.stdout is not None
    pipe, output, why = process.stdout.fileno(), b"", None
    os.set_blocking(pipe, False)
    while process.poll() is None:
        if select.select([pipe], [], [], LOOK_AGAIN_S)[0]:
            output = _more(pipe, output, most)
        if why is None and (stopping() or time.monotonic() >= deadline):
            why = STOPPED if stopping() else "limit"
            process.terminate()
            deadline = time.monotonic() + PATIENCE_S
        elif why is not None and time.monotonic() >= deadline:
            process.kill()
    return why, _more(pipe, output, most).decode(errors="replace")[-most:].strip()


def _more(pipe: int, output: bytes, most: int) -> bytes:
    """Return the output so far with what can be read now, limited to what will be reported."""
    with suppress(BlockingIOError):
        while chunk := os.read(pipe, 1 << 16):
            output = (output + chunk)[-4 * most :]
    return output
