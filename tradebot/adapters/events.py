"""Operational events as JSON lines, rotated by size."""

import os
from pathlib import Path

from tradebot.adapters.canonical import json_text
from tradebot.adapters.codec import encode
from tradebot.model.event import SystemEvent

MAX_BYTES = 5_000_000
KEPT = 5


class JsonlEvents:
    """One line per event; a disk that takes no more loses events, never a pass."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def emit(self, event: SystemEvent) -> None:
        """Append one event; a failing disk is passed over, because there is nowhere left to say it."""
        line = json_text(encode(event)).encode() + b"\n"
        try:
            self._rotate(len(line))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:
            return

    def _rotate(self, coming: int) -> None:
        """Move full files on by one number; the oldest of the kept ones is overwritten."""
        if not self._path.exists() or self._path.stat().st_size + coming <= self._max_bytes:
            return
        for number in range(KEPT - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
