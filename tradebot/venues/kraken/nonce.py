"""Issue nonces for a key: the venue refuses one that isn't above all earlier ones, from whatever process."""

import fcntl
import os
import time
import zlib
from pathlib import Path

from tradebot.adapters.state.safe_open import open_plain, read_plain
from tradebot.adapters.state.state_folder import VENUE_NONCE

FILE = VENUE_NONCE
_DIGITS, _CHECKED = 20, 29
"""How long a nonce is in the file, and with its checksum. Anything else is no nonce.

One that is far too large would spoil the key for good. If the power goes, the beginning of a line may be there with the
end of the one before it, which together can be ahead of the clock.
"""


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
            taken = _next(_read(os.pread(descriptor, _CHECKED + 1, 0), self._last))
            digits = b"%0*d" % (_DIGITS, taken)
            os.pwrite(descriptor, b"%s %s\n" % (digits, _checksum(digits)), 0)
        finally:
            os.close(descriptor)
        self._last = taken
        return taken


def _read(kept: bytes, last: int) -> int:
    """Return the nonce that the file holds, or the last one known if it holds none."""
    digits, rest = kept[:_DIGITS], kept[_DIGITS : _CHECKED + 1]
    return int(digits) if digits.isdigit() and rest == b" %s\n" % _checksum(digits) else last


def _checksum(digits: bytes) -> bytes:
    return b"%08x" % zlib.crc32(digits)


def _next(last: int) -> int:
    return max(last + 1, time.time_ns() // 1_000)
