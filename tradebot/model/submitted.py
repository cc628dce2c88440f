"""Candidates that come from outside: a person's own, an alert, another program."""

from dataclasses import dataclass
from datetime import datetime

from tradebot.model.candidate import Side


@dataclass(frozen=True, slots=True)
class Submitted:
    """One wanted entry: score -1..1 on the side's side, coverage 0..1 or None; `at` is the signal's own time, if any.

    `source` says where it came from, `strategy` whose lots it would make.
    """

    symbol: str
    side: Side
    score: float
    source: str
    strategy: str
    coverage: float | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line, counted from 1, that is no candidate: why, and what was found there."""

    line: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What a file of candidates held: lines = candidates + duplicates + bad lines; `digest` names the content."""

    lines: int
    candidates: tuple[Submitted, ...]
    duplicates: int
    bad: tuple[BadLine, ...]
    digest: str
