"""What moved between two recorded passes, by symbol and by component of the score."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tradebot.model.candidate import Component, Purpose
from tradebot.model.record import CandidateRecord, CycleRecord, Job


@dataclass(frozen=True, slots=True)
class PassHead:
    """One of the two passes."""

    id: str
    job: Job
    at: datetime
    candidates: int


@dataclass(frozen=True, slots=True)
class MovedComponent:
    """One part of a score in both passes: contribution = value x weight / sum of all weights; None if it was absent.

    `change` is of the contribution, where an absent one counts as zero.
    """

    name: str
    value_before: float | None
    value_after: float | None
    weight_before: float | None
    weight_after: float | None
    contribution_before: float | None
    contribution_after: float | None
    change: float


@dataclass(frozen=True, slots=True)
class MovedCandidate:
    """A symbol's score, side and result in both passes; None in a pass that didn't look at it.

    The result is a reason, or "candidate" or "sent" if nothing refused it. Components are in the order of their size.
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
        """Return True if the pass that came later differs in anything that is shown."""
        before = (self.score_before, self.side_before, self.result_before)
        parts = any(
            (part.value_before, part.weight_before) != (part.value_after, part.weight_after) for part in self.components
        )
        return parts or before != (self.score_after, self.side_after, self.result_after)


@dataclass(frozen=True, slots=True)
class Moved:
    """What differs between two passes, the largest change of a score first."""

    before: PassHead
    after: PassHead
    moved: int
    rows: tuple[MovedCandidate, ...]


def moved(before: CycleRecord, after: CycleRecord) -> Moved:
    """Compare the entry candidates of two passes."""
    then, now = _entries(before), _entries(after)
    keys = dict.fromkeys((*then, *now))
    rows = [_candidate(key, (before.job, then.get(key)), (after.job, now.get(key))) for key in keys]
    rows.sort(key=lambda row: (-abs(row.change), not row.has_moved, row.symbol, row.strategy))
    heads = (PassHead(cycle.id, cycle.job, cycle.at, len(_entries(cycle))) for cycle in (before, after))
    return Moved(*heads, sum(row.has_moved for row in rows), tuple(rows))


def _entries(cycle: CycleRecord) -> Mapping[tuple[str, str], CandidateRecord]:
    found = (record for record in cycle.candidates if record.candidate.purpose is Purpose.OPEN)
    return {(record.candidate.symbol, record.candidate.strategy): record for record in found}


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


def _components(before: Iterable[Component], after: Iterable[Component]) -> tuple[MovedComponent, ...]:
    then, now = ({part.name: part for part in parts} for parts in (before, after))
    totals = [sum(part.weight for part in parts.values()) for parts in (then, now)]
    rows = []
    for name in dict.fromkeys((*then, *now)):
        both = then.get(name), now.get(name)
        given = [_contribution(part, total) for part, total in zip(both, totals, strict=True)]
        rows.append(
            MovedComponent(
                name,
                *(part.value if part else None for part in both),
                *(part.weight if part else None for part in both),
                *given,
                change=(given[1] or 0.0) - (given[0] or 0.0),
            )
        )
    return tuple(sorted(rows, key=lambda row: -abs(row.change)))


def _contribution(part: Component | None, total: float) -> float | None:
    return None if part is None or part.value is None or not total else part.value * part.weight / total
