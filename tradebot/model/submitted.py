"""Candidates from outside the bot: submitted by a person, an alert or another program."""

from datetime import datetime

from msgspec import Struct

from tradebot.model.candidate import Side


class Submitted(Struct, frozen=True):
    """One submitted entry: a score in -1..1 whose sign matches the side, coverage 0..1 or None.

    `at` is the signal's own time, if any. `source` says where it came from, `strategy` who would own its lots.
    """

    symbol: str
    side: Side
    score: float
    source: str
    strategy: str
    coverage: float | None
    at: datetime | None


class BadLine(Struct, frozen=True):
    """A line (counted from 1) that isn't a valid candidate, with the reason and an excerpt."""

    line: int
    reason: str
    detail: str


class Submission(Struct, frozen=True):
    """The content of a candidates file: lines = candidates + duplicates + bad lines; `digest` identifies it."""

    lines: int
    candidates: tuple[Submitted, ...]
    duplicates: int
    bad: tuple[BadLine, ...]
    digest: str
