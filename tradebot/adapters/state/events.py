"""Operational events as JSON lines, rotated by size."""

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.state.plain_files import NotPlainError, open_plain, require_plain
from tradebot.adapters.text.canonical import CodecError, json_text, time_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.adapters.text.redaction import hide
from tradebot.errors import OperatorError
from tradebot.model.event import Severity, SystemEvent

MAX_BYTES = 5_000_000
KEPT = 5
_STAMP = slice(len('{"timestamp":"'), len('{"timestamp":"') + len("2026-11-16T14:30:00.000000Z"))
_DAILY = f'"severity":"{Severity.INFO}"'.encode()


class JsonlEvents:
    """One line per event; a disk that takes no more loses events, never a pass."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def emit(self, event: SystemEvent) -> None:
        """Append one event; a failing disk is passed over, because there is nowhere left to say it."""
        line = hide(json_text(encode(event))).encode() + b"\n"
        try:
            self._rotate(len(line))
            descriptor = open_plain(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
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
                with around("events.rotate"):
                    older.replace(self._numbered(number + 1))
        with around("events.begin_anew"):
            self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def require_file(path: Path) -> None:
    """Raise OperatorError where something other than a file stands at the path; an absent one is as good as empty."""
    try:
        require_plain(path)
    except NotPlainError as error:
        said = f"{path} is not a file, and no event is recorded: {error.strerror}."
        raise OperatorError(said, f"Move it away: mv {path} {path}.aside") from error


def read_through(path: Path) -> tuple[int, int]:
    """Return how many lines a file has, and how many of them are no events; rotated files are left alone."""
    lines = _lines(path)
    return len(lines), sum(_event(line) is None for line in lines)


def last_events(path: Path, count: int) -> tuple[Sequence[SystemEvent], int]:
    """Return the last so many events, oldest first, rotated files among them, and how many lines cannot be read."""
    lines: list[bytes] = []
    for place in (path, *(path.with_name(f"{path.name}.{number}") for number in range(1, KEPT + 1))):
        if len(lines) >= count:
            break
        lines = _lines(place) + lines
    read = [_event(line) for line in lines[-count:]]
    events = tuple(event for event in read if event is not None)
    return events, len(read) - len(events)


def worth_seeing(path: Path, spans: Sequence[tuple[datetime, datetime]]) -> tuple[int, Sequence[SystemEvent]]:
    """Return how many events stand within the spans of time, and those of them that ask for attention.

    Events of daily work are counted and not decoded; a file before the last full one is not read.
    """
    texts = [(time_text(first).encode(), time_text(last).encode()) for first, last in spans]
    lines = [*_lines(path.with_name(f"{path.name}.1")), *_lines(path)]
    within = [line for line in lines if any(first <= line[_STAMP] <= last for first, last in texts)]
    read = (_event(line) for line in within if _DAILY not in line)
    return len(within), tuple(event for event in read if event is not None)


class Tail:
    """What is appended to a file of events from now on, across rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _open(path)
        self._rest = b""
        if self._descriptor is not None:
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def news(self) -> list[SystemEvent]:
        """Return the events appended since the last call; lines that cannot be read are passed over."""
        found = self._read()
        if self._moved():
            self.close()
            self._descriptor = _open(self._path)
            found += self._read()
        return [event for event in map(_event, found) if event is not None]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self) -> list[bytes]:
        if self._descriptor is None:
            return []
        data = self._rest
        while block := os.read(self._descriptor, 1 << 16):
            data += block
        *lines, self._rest = data.split(b"\n")
        return lines

    def _moved(self) -> bool:
        """Tell whether another file than the open one stands at the path now."""
        if not self._path.exists():
            return False
        return self._descriptor is None or os.fstat(self._descriptor).st_ino != self._path.stat().st_ino


def _open(path: Path) -> int | None:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.is_file() else None


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.is_file() else []


def _event(line: bytes) -> SystemEvent | None:
    try:
        return decode(SystemEvent, json.loads(line))
    except (ValueError, CodecError):
        return None
