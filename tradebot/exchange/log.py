"""The exchange's log: one JSON line an event, numbered, appended and synced once per command.

A command's lines are one write. A crash can tear the last line; it is cut off on opening, and replaying the
commands that remain gives the lines that were lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError

_DAMAGED = "restore log.jsonl from a copy, or " + NEW_EXCHANGE


class LogError(RuntimeError):
    """A command was carried out and could not be recorded: this process must end, for the log decides."""


class Log:
    """An append-only file of lines, which must be there: an exchange without its log would begin anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn_bytes = _cut_torn_tail(path)

    def append(self, lines: Sequence[bytes]) -> None:
        """Write the lines of one command and make them durable; raises LogError when the disk refuses."""
        try:
            with self._path.open("ab") as file:
                file.write(b"".join(line + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LogError(f"{self._path} cannot be written: {error.strerror}") from error

    def lines(self, after: int = 0, limit: int | None = None) -> list[bytes]:
        """Return lines by number, the first being 1: those after `after`, at most `limit`."""
        with self._path.open("rb") as file:
            stop = None if limit is None else after + limit
            return [line.rstrip(b"\n") for line in islice(file, after, stop)]


def _cut_torn_tail(path: Path) -> int:
    """Truncate a file after its last whole line; return how many bytes went."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return len(content) - whole


def read_event(line: bytes, number: int) -> dict[str, Any]:
    """Read one line; raises MarketError naming it when it is not an event."""
    try:
        event = json.loads(line)
    except ValueError as error:
        raise MarketError(f"log.jsonl line {number} is not JSON: {error}", _DAMAGED) from error
    if not isinstance(event, dict) or event.get("seq") != number:
        raise MarketError(f"log.jsonl line {number} does not carry the number {number}", _DAMAGED)
    return event
