"""The other end of a real terminal on which a program runs: what was drawn there, the keys, and its size."""

import codecs
import fcntl
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

LONGEST_S = 30
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
HOME = "\x1b[H"


class Terminal:
    """One terminal, its program, and what that has written since somebody last looked."""

    def __init__(self, descriptor: int, program: "subprocess.Popen[bytes]") -> None:
        self.descriptor = descriptor
        self.program = program
        self.said = ""
        # One read may end within a character, and one that is replaced there makes its line longer.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def until(self, text: str) -> None:
        """Wait until a text was written, and forget what came before."""
        for _ in self._hearing(text):
            if text in CONTROL.sub("", self.said):
                self.said = ""
                return

    def screen(self, holding: str) -> list[str]:
        """Wait until a whole screen that holds a text has been drawn, and return its lines."""
        for _ in self._hearing(holding):
            for drawn in reversed(self.said.split(HOME)):
                plain = CONTROL.sub("", drawn).replace("\r", "")
                if holding in plain and "q quits" in plain:
                    self.said = ""
                    return plain.split("\n")
        raise AssertionError("unreachable")

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
        set_size(self.descriptor, columns, lines)
        self.program.send_signal(signal.SIGWINCH)

    def _hearing(self, text: str) -> Iterator[None]:
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            yield
            self._hear()
        raise AssertionError(f"{text!r} was not drawn: {self.said[-2000:]!r}")

    def _hear(self) -> None:
        if select.select([self.descriptor], [], [], 0.1)[0]:
            try:
                self.said += self._decoder.decode(os.read(self.descriptor, 65_536))
            except OSError:
                time.sleep(0.05)


def set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@contextmanager
def on_terminal(columns: int, lines: int, *words: str | Path) -> Iterator[Terminal]:
    """Yield a terminal of this size on which Python was started with these words."""
    ours, theirs = pty.openpty()
    set_size(theirs, columns, lines)
    environ = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
    program = subprocess.Popen(
        [sys.executable, *words],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environ | {"TERM": "xterm-256color"},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - so that Ctrl-C is a signal there
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(ours, program)
    finally:
        program.kill()
        program.wait(LONGEST_S)
        os.close(ours)
