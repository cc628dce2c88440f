"""The scores of the newest slots, by strategy and symbol."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tradebot.adapters.facts.history import MOST_SLOTS
from tradebot.model.record import CycleRecord, Scored

KEPT = timedelta(days=10)
"""For how long scores are kept: longer than any pass looks back."""


class _Slot(NamedTuple):
    """The pass of one slot: its id, its time, and the scores that it gave to strategies' symbols."""

    id: str
    at: datetime
    scores: dict[tuple[str, str], list[float]]


class KnownScores:
    """The scores that passes gave, one pass for each slot: the last one that wasn't refused."""

    def __init__(self) -> None:
        self._slots: dict[tuple[date, str], _Slot] = {}
        self._times: list[datetime] = []
        self._scores: dict[tuple[str, str], list[Scored]] = {}

    def add(self, cycle: CycleRecord) -> None:
        """Add the scores of a pass, which replace those of earlier passes of its slot."""
        key = cycle.session, cycle.slot
        before = self._slots.get(key)
        if before is not None and before.at > cycle.at:
            return
        self._drop(key)
        scores: dict[tuple[str, str], list[float]] = {}
        for candidate in (record.candidate for record in cycle.candidates):
            if candidate.score is not None:
                scores.setdefault((candidate.strategy, candidate.symbol), []).append(candidate.score)
        self._slots[key] = _Slot(cycle.id, cycle.at, scores)
        insort(self._times, cycle.at)
        for one, found in scores.items():
            for score in found:
                insort(self._scores.setdefault(one, []), Scored(cycle.at, score))

    def remove(self, cycle: CycleRecord) -> None:
        """Remove the scores of a pass, if they are those of its slot."""
        slot = self._slots.get((cycle.session, cycle.slot))
        if slot is not None and (slot.id, slot.at) == (cycle.id, cycle.at):
            self._drop((cycle.session, cycle.slot))

    def _drop(self, key: tuple[date, str]) -> None:
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self._times.remove(slot.at)
        for one, scores in slot.scores.items():
            for score in scores:
                self._scores[one].remove(Scored(slot.at, score))

    def of(
        self, held: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        """Return the scores of strategies' symbols in a span, oldest first; those without any are left out."""
        newest = bisect_right(self._times, now)
        since = max(since, self._times[newest - MOST_SLOTS]) if newest > MOST_SLOTS else since
        found = {}
        for key in held:
            scores = self._scores.get(key, [])
            first, last = bisect_left(scores, since, key=_at), bisect_right(scores, now, key=_at)
            if first < last:
                found[key] = scores[first:last]
        return found

    def forget(self, now: datetime) -> None:
        """Forget the scores that are too old to be asked for."""
        self._slots = {key: slot for key, slot in self._slots.items() if slot.at >= now - KEPT}
        self._times = [at for at in self._times if at >= now - KEPT]
        self._scores = {
            key: kept for key, scores in self._scores.items() if (kept := [s for s in scores if s.at >= now - KEPT])
        }


def _at(scored: Scored) -> datetime:
    return scored.at
