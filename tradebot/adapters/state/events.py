"""Write and read operational events as JSON lines, in files rotated by size."""

import json
import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.state.json_lines import RotatedLines
from tradebot.adapters.state.safe_open import NotRegularFileError, require_plain
from tradebot.adapters.text.canonical import CodecError, json_text, time_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.adapters.text.redaction import hide_keys
from tradebot.errors import OperatorError
from tradebot.model.event import EventKind, Severity, SystemEvent

MAX_BYTES = 5_000_000
KEPT = 5
MOST_FILES = 100
_STAMP = slice(len('{"timestamp":"'), len('{"timestamp":"') + len("2026-11-16T14:30:00.000000Z"))
_DAILY = f'"severity":"{Severity.INFO}"'.encode()


class JsonlEvents:
    """Writes one line per event. If the disk fails, events are lost but the pass continues. `also`, if set, gets each
    event as well.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int = MAX_BYTES,
        max_files: int = KEPT,
        also: Callable[[SystemEvent], None] = lambda event: None,
    ) -> None:
        self._lines = RotatedLines(path, max_bytes, max_files)
        self._name = path.name
        self._also = also

    def emit(self, event: SystemEvent) -> None:
        """Append one event; errors of the disk are ignored, because there is nowhere left to report them."""
        if self._append(event):
            self._append(EventKind.FILE_ROTATED.at(event.timestamp, {"file": self._name}))
        self._also(event)

    def _append(self, event: SystemEvent) -> bool:
        return self._lines.append(hide_keys(json_text(encode(event))))


def require_file(path: Path) -> None:
    """Raise OperatorError if something other than a file is at the path; a missing file counts as empty."""
    try:
        require_plain(path)
    except NotRegularFileError as error:
        message = f"{path} is not a file, so no events are recorded: {error.strerror}."
        raise OperatorError(message, f"Move it away: mv {path} {path}.aside") from error


def read_through(path: Path) -> tuple[int, int]:
    """Return how many lines a file has, and how many of them aren't events, without reading rotated files."""
    lines = _lines(path)
    return len(lines), sum(_event(line) is None for line in lines)


def last_events(path: Path, count: int, besides: Collection[EventKind] = ()) -> tuple[Sequence[SystemEvent], int]:
    """Return the last `count` events, oldest first, including rotated files, and the number of unreadable lines.

    Events of the kinds in `besides` are left out.
    """
    marks = [f'"subsystem":"{kind.subsystem}","event_type":"{kind.event_type}"'.encode() for kind in besides]
    lines: list[bytes] = []
    for index in (path, *(path.with_name(f"{path.name}.{number}") for number in range(1, MOST_FILES))):
        if len(lines) >= count or not (index.is_file() or index == path):
            break
        lines = [line for line in _lines(index) if not any(mark in line for mark in marks)] + lines
    read = [_event(line) for line in lines[-count:]]
    events = tuple(event for event in read if event is not None)
    return events, len(read) - len(events)


def worth_seeing(
    path: Path, spans: Sequence[tuple[datetime, datetime]], also: Collection[EventKind] = ()
) -> tuple[int, Sequence[SystemEvent]]:
    """Return how many events are in the periods, and the events that need attention or have a kind in `also`.

    Routine events are counted without decoding them. Only the current file and the last full one are read.
    """
    texts = [(time_text(first).encode(), time_text(last).encode()) for first, last in spans]
    lines = [*_lines(path.with_name(f"{path.name}.1")), *_lines(path)]
    within = [line for line in lines if any(first <= line[_STAMP] <= last for first, last in texts)]
    marks = [f'"event_type":"{kind.event_type}"'.encode() for kind in also]
    read = (_event(line) for line in within if _DAILY not in line or any(mark in line for mark in marks))
    return len(within), tuple(event for event in read if event is not None)


def torn_lines(path: Path) -> int:
    """Return how many lines don't begin and end like an event, without decoding lines or reading rotated files."""
    return sum(not (line.startswith(b'{"timestamp":"') and line.endswith(b"}")) for line in _lines(path))


class EventCursor(NamedTuple):
    """A read position in the event files: the inode of the last file, and a byte offset."""

    inode: int
    offset: int


def end_of(path: Path) -> EventCursor:
    """Return the position after the last event."""
    if not path.is_file():
        return EventCursor(0, 0)
    status = path.stat()
    return EventCursor(status.st_ino, status.st_size)


def news(path: Path, cursor: EventCursor) -> tuple[list[SystemEvent], EventCursor]:
    """Return the events after a position, across rotations, and the new position; unreadable lines are skipped.

    If the file of the position is gone, all existing events count as later. A last line without a line end isn't
    complete yet, and is left for the next call.
    """
    numbered = (path.with_name(f"{path.name}.{number}") for number in range(MOST_FILES - 1, 0, -1))
    files = [file for file in (*numbered, path) if file.is_file()]
    index = next((number for number, file in enumerate(files) if file.stat().st_ino == cursor.inode), None)
    events = list[SystemEvent]()
    begin = cursor.offset if index is not None else 0
    for file in files[index or 0 :]:
        with file.open("rb") as opened:
            opened.seek(begin)
            data = opened.read()
            inode = os.fstat(opened.fileno()).st_ino
        whole = data[: data.rfind(b"\n") + 1]
        events += [event for event in map(_event, whole.splitlines()) if event is not None]
        cursor, begin = EventCursor(inode, begin + len(whole)), 0
    return events, cursor


class Tail:
    """Follows a file of events: the lines appended from now on, across rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _open(path)
        self._rest = b""
        if self._descriptor is not None:
            os.lseek(self._descriptor, 0, os.SEEK_END)

    def news(self) -> list[SystemEvent]:
        """Return the events appended since the last call; unreadable lines are skipped."""
        events = self._read()
        if self._was_replaced():
            self.close()
            self._descriptor = _open(self._path)
            events += self._read()
        return [event for event in map(_event, events) if event is not None]

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

    def _was_replaced(self) -> bool:
        """Return True if another file than the open one is at the path now."""
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
