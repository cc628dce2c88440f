"""Take nonces for a key: the venue refuses one that isn't above all before it, whichever process sent those."""

import fcntl
import os
import time
from pathlib import Path

from tradebot.adapters.state.plain_files import open_plain, read_plain
from tradebot.adapters.state.state_folder import VENUE_NONCE

FILE = VENUE_NONCE
_DIGITS = 20
"""How long the file's line is. Anything else is no nonce: one that is far too large would spoil the key for good."""
_NEVER = 4_102_444_800_000_000
"""What no clock has shown yet, the year 2100: no nonce of this bot's reaches it."""


class Nonces:
    """The nonces of one key: microseconds of the clock, but always above the last one that was taken.

    The last one is kept in a file of the state folder, because a clock can be set back. Without a folder, which is so
    before there is one, only this process knows it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self._last = 0

    def last(self) -> int:
        """Return the last nonce that was taken, 0 if none is known. Raises OSError."""
        if self._path is None:
            return self._last
        try:
            kept = read_plain(self._path)
        except FileNotFoundError:
            return self._last
        return _read(kept, self._last)

    def take(self) -> int:
        """Return the next nonce; it is in the file before anyone sends it. Raises OSError."""
        if self._path is None:
            self._last = _next(self._last)
            return self._last
        descriptor = open_plain(self._path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            taken = _next(_read(os.pread(descriptor, _DIGITS + 1, 0), self._last))
            # The line's end tells it from whatever a damaged file has after it.
            os.pwrite(descriptor, b"%0*d\n" % (_DIGITS, taken), 0)
        finally:
            os.close(descriptor)
        self._last = taken
        return taken


def _read(kept: bytes, last: int) -> int:
    """Return the nonce that the file holds, or the last one known if it holds none."""
    line, rest = kept[:_DIGITS], kept[_DIGITS : _DIGITS + 1]
    whole = len(line) == _DIGITS and line.isdigit() and rest in (b"", b"\n")
    return int(line) if whole and int(line) < _NEVER else last


def _next(last: int) -> int:
    return max(last + 1, time.time_ns() // 1_000)
