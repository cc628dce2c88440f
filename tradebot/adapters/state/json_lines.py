"""Append lines to a file that is rotated by size, so that it never grows without bound."""

import os
from pathlib import Path

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.safe_open import open_plain


class RotatedLines:
    """Appends lines to a file; full files are numbered, `kept` of them, and the oldest is overwritten.

    If the disk fails, lines are lost but no pass is. `lost` then says why the last line was, and is None otherwise.
    """

    def __init__(self, path: Path, max_bytes: int, kept: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self.lost: str | None = None

    def require(self) -> None:
        """Raise OSError if the file can't be opened for a line, or created."""
        os.close(self._opened())

    def append(self, text: str) -> bool:
        """Append one line, without its end; return True if a new file was begun for it."""
        line, rotated = text.encode() + b"\n", False
        try:
            rotated = self._rotate(len(line))
            descriptor = self._opened()
            try:
                os.write(descriptor, b"\n" * self._is_torn(descriptor) + line)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.lost = f"{self._path} can't be written: {error.strerror}"
            return False
        self.lost = None
        return rotated

    def _opened(self) -> int:
        return open_plain(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def _is_torn(self, descriptor: int) -> bool:
        """Return True if the last line has no end, as after a loss of power: the next one would be lost with it."""
        size = os.fstat(descriptor).st_size
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"

    def _rotate(self, coming: int) -> bool:
        """Renumber full files, of which the oldest one is overwritten; return False if there is room for a line."""
        if not self._path.exists() or self._path.stat().st_size + coming <= self._max_bytes:
            return False
        for number in range(self._kept - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                with around("json_lines.rotate"):
                    older.replace(self._numbered(number + 1))
        with around("json_lines.begin_anew"):
            self._path.replace(self._numbered(1))
        return True

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
