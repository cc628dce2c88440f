"""Compare scores between two recorded passes, by symbol and component."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from tradebot.model.candidate import Component, Purpose
from tradebot.model.record import CandidateRecord, CycleRecord, Job


class PassHead(Struct, frozen=True):
    """The identity of a pass in the comparison."""

    id: str
    job: Job
    at: datetime


class ScorePart(Struct, frozen=True):
    """A component's contribution to a score: value x weight / sum of all weights; None if it was absent."""

    value: float | None
    weight: float
    contribution: float | None


class MovedComponent(Struct, frozen=True):
    """One component of a score in both passes; None in a pass whose score doesn't have it.

    `change` is the change in the contribution; an absent component contributes zero.
    """

    name: str
    before: ScorePart | None
    after: ScorePart | None
    change: float


class MovedCandidate(Struct, frozen=True):
    """A symbol's score, side and result in both passes; None in a pass that didn't evaluate it.

    The result is a reason, or "candidate" or "sent" if nothing refused it. Components are sorted by the size of their
    change.
    """

    symbol: str
    strategy: str
    score_before: float | None
    score_after: float | None
    change: float
    side_before: str | None
    side_after: str | None
    result_before: str | None
    result_after: str | None
    components: tuple[MovedComponent, ...]

    @property
    def has_moved(self) -> bool:
        before = (self.score_before, self.side_before, self.result_before)
        after = (self.score_after, self.side_after, self.result_after)
        return before != after or any(part.before != part.after for part in self.components)


class Moved(Struct, frozen=True):
    """The differences between two passes, largest change of a score first."""

    before: PassHead
    after: PassHead
    moved: int
    rows: tuple[MovedCandidate, ...]


def diff_scores(before: CycleRecord, after: CycleRecord) -> Moved:
    """Compare the entry candidates of two passes."""
    then, now = _entries(before), _entries(after)
    keys = dict.fromkeys((*then, *now))
    rows = [_candidate(key, (before.job, then.get(key)), (after.job, now.get(key))) for key in keys]
    rows.sort(key=lambda row: (-abs(row.change), not row.has_moved, row.symbol, row.strategy))
    first, second = (PassHead(cycle.id, cycle.job, cycle.at) for cycle in (before, after))
    return Moved(first, second, sum(row.has_moved for row in rows), tuple(rows))


def _entries(cycle: CycleRecord) -> Mapping[tuple[str, str], CandidateRecord]:
    records = (record for record in cycle.candidates if record.candidate.purpose is Purpose.OPEN)
    return {(record.candidate.symbol, record.candidate.strategy): record for record in records}


def _candidate(
    key: tuple[str, str], before: tuple[Job, CandidateRecord | None], after: tuple[Job, CandidateRecord | None]
) -> MovedCandidate:
    then, now = (record.candidate if record else None for _, record in (before, after))
    scores = then.score if then else None, now.score if now else None
    return MovedCandidate(
        *key,
        *scores,
        change=(scores[1] or 0.0) - (scores[0] or 0.0),
        side_before=then.side.value if then else None,
        side_after=now.side.value if now else None,
        result_before=_result(*before),
        result_after=_result(*after),
        components=_components(then.components if then else (), now.components if now else ()),
    )


def _result(job: Job, record: CandidateRecord | None) -> str | None:
    if record is None:
        return None
    terminal = record.terminal
    if terminal is None:
        return "candidate" if job is Job.SCORE else "sent"
    return str(terminal.reason or terminal.gate)


def _components(before: Sequence[Component], after: Sequence[Component]) -> tuple[MovedComponent, ...]:
    then, now = _score_parts(before), _score_parts(after)
    names = dict.fromkeys((*then, *now))
    rows = (MovedComponent(name, then.get(name), now.get(name), _gave(name, now) - _gave(name, then)) for name in names)
    return tuple(sorted(rows, key=lambda row: -abs(row.change)))


def _gave(name: str, parts: Mapping[str, ScorePart]) -> float:
    return (parts[name].contribution or 0.0) if name in parts else 0.0


def _score_parts(parts: Sequence[Component]) -> Mapping[str, ScorePart]:
    total = sum(part.weight for part in parts)
    shares = [None if part.value is None or not total else part.value * part.weight / total for part in parts]
    return {part.name: ScorePart(part.value, part.weight, share) for part, share in zip(parts, shares, strict=True)}
