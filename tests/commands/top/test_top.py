"""`tradebot top` as it is typed: what it says without a terminal, and one life on a real one."""

import fcntl
import importlib.util
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands import top
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tradebot.adapters.text.extras import install

LONGEST_S = 30
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
LEFT = "\x1b[?1049l"
"""Gives the terminal back what was on it before."""


class Terminal:
    """The other end of a terminal: what was written to it, the keys, and its size."""

    def __init__(self, descriptor: int, program: "subprocess.Popen[bytes]") -> None:
        self.descriptor = descriptor
        self.program = program
        self.said = ""

    def until(self, text: str) -> None:
        """Wait until a text was written, and forget what came before."""
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            if text in CONTROL.sub("", self.said):
                self.said = ""
                return
            self._hear()
        raise AssertionError(f"{text!r} was not drawn: {self.said[-2000:]!r}")

    def ended(self) -> int:
        """Wait until the program has ended, and return how."""
        deadline = time.monotonic() + LONGEST_S
        while self.program.poll() is None and time.monotonic() < deadline:
            self._hear()
        self._hear()
        return self.program.wait(LONGEST_S)

    def press(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.program.send_signal(signal.SIGWINCH)

    def _hear(self) -> None:
        if select.select([self.descriptor], [], [], 0.1)[0]:
            try:
                self.said += os.read(self.descriptor, 65_536).decode(errors="replace")
            except OSError:
                time.sleep(0.05)


@contextmanager
def typed(folder: Path) -> Iterator[Terminal]:
    """Type `tradebot top` on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environ = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    program = subprocess.Popen(
        [sys.executable, "-m", "tradebot", "top", "--state-dir", folder],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environ | {"TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(ours, program)
    finally:
        program.kill()
        program.wait(LONGEST_S)
        os.close(ours)


@pytest.mark.campaign
def test_top_on_a_real_terminal_is_resized_turned_and_left_as_it_was(copy: Bot) -> None:
    assert copy.says("halt", "--reason", "\x1b]0;owned\x07lunch").code == 0
    with typed(copy.folder) as terminal:
        terminal.until("owned lunch")
        assert "\x1b]0;owned" not in terminal.said
        terminal.resize(50, 24)
        terminal.until("This terminal has 50 columns")
        terminal.resize(60, 20)
        terminal.until("Trading state REDUCE_ONLY")
        terminal.press(b"2")
        terminal.until("0 positions")
        terminal.press(b"q")
        assert terminal.ended() == 0
        assert LEFT in terminal.said


def test_top_without_a_state_says_what_every_verb_says(bot: Bot, tmp_path: Path) -> None:
    said = bot.says("top", "--state-dir", str(tmp_path / "nothing"))
    assert said == bot.says("status", "--state-dir", str(tmp_path / "nothing"))
    assert said.code == 2


def test_top_without_a_terminal_or_the_extra_names_the_next_step(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    said = bot.says("top")
    assert (said.code, said.out) == (2, "")
    assert "top needs a terminal to draw on" in said.err
    assert "tradebot top --json" in said.err

    def lacking(name: str) -> Any:
        return None if name == "textual" else importlib.util.find_spec(name)

    monkeypatch.setattr(top, "find_spec", lacking)
    refuses(bot.says("top"), 2, install("top"))
    assert bot.says("top", "--json").code == 0
