"""`tradebot status --watch`, on a real terminal: it fits, draws again, outlives errors, and quits on q and Ctrl-C."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot

LONGEST_S = 30
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
HOME = "\x1b[H"
OFTEN = "from commands.status import report; report.EVERY_S = 0.2; from tradebot.__main__ import main; main()"


class Terminal:
    """The other end of a terminal: what was drawn on it, and the keys."""

    def __init__(self, descriptor: int, program: "subprocess.Popen[bytes]") -> None:
        self._descriptor = descriptor
        self.program = program
        self._said = ""

    def screen(self, holding: str) -> list[str]:
        """Wait until a whole screen that holds a text has been drawn, and return its lines."""
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            for drawn in reversed(self._said.split(HOME)):
                plain = CONTROL.sub("", drawn).replace("\r", "")
                if holding in plain and "q quits" in plain:
                    self._said = ""
                    return plain.split("\n")
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self._said += os.read(self._descriptor, 65_536).decode(errors="replace")
        raise AssertionError(f"{holding!r} was not drawn: {self._said[-2000:]!r}")

    def press(self, key: bytes) -> int:
        """Press a key, and return how the program ended."""
        os.write(self._descriptor, key)
        deadline = time.monotonic() + LONGEST_S
        while self.program.poll() is None and time.monotonic() < deadline:
            if select.select([self._descriptor], [], [], 0.1)[0]:
                try:
                    os.read(self._descriptor, 65_536)
                except OSError:
                    break
        return self.program.wait(LONGEST_S)


@contextmanager
def watching(folder: Path, columns: int, lines: int) -> Iterator[Terminal]:
    """Yield a terminal of this size on which the status is watched."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    environ = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    program = subprocess.Popen(
        [sys.executable, "-c", OFTEN, "status", "--watch", "--state-dir", folder],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environ | {"TERM": "xterm"},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal there
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(ours, program)
    finally:
        program.kill()
        program.wait(LONGEST_S)
        os.close(ours)


def fits(drawn: list[str], columns: int, lines: int) -> bool:
    return len(drawn) <= lines and max(map(len, drawn)) <= columns


def test_watch_fits_a_large_terminal_and_quits_on_ctrl_c(bot: Bot) -> None:
    with watching(bot.folder, 120, 40) as terminal:
        drawn = terminal.screen("Trading state ACTIVE")
        assert fits(drawn, 120, 40)
        assert any("Health UNKNOWN" in line for line in drawn)
        assert terminal.press(b"\x03") == 0


def test_watch_fits_a_small_terminal_and_shows_an_error_until_it_is_gone(bot: Bot, copy: Bot) -> None:
    book = copy.folder / "ledger.db"
    with watching(copy.folder, 80, 24) as terminal:
        assert fits(terminal.screen("Trading state ACTIVE"), 80, 24)
        book.rename(copy.folder / "aside.db")
        assert fits(terminal.screen("ledger"), 80, 24)
        (copy.folder / "aside.db").rename(book)
        copy.says("halt", "--reason", "lunch")
        assert fits(terminal.screen("lunch"), 80, 24)
        assert terminal.press(b"q") == 0


def test_watch_in_the_smallest_terminal_shows_health_first_and_counts_the_rest(bot: Bot) -> None:
    with watching(bot.folder, 40, 8) as terminal:
        drawn = terminal.screen("Health UNKNOWN")
        assert fits(drawn, 40, 8)
        assert "more lines: tradebot status; q" in drawn[-1]


def test_watch_without_a_terminal_names_the_command_to_type(bot: Bot) -> None:
    refuses(bot.says("status", "--watch"), 2, "needs a terminal", "tradebot status")
    assert bot.says("status", "--watch", "--json").code == 2
