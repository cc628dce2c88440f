"""Play one session of fetching on paper: which calls each fetch makes, and how old replies get meanwhile."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.bar import Session
from tradebot.model.kind import Phase, Scope
from tradebot.timetable.job_times import JobTimes

ONCE_S = 86_400
"""An interval that no session is long enough to repeat."""


class Need(Struct, frozen=True):
    """A kind of facts to fetch: its calls, how often it should be done, and how old replies may get (None: any age)."""

    name: str
    scope: Scope
    calls: int
    interval_s: int
    core: bool = False
    max_age_s: int | None = None
    phase: Phase = Phase.ALWAYS

    @property
    def once(self) -> bool:
        """Return True if it is asked only once a session: its replies change once a day, and nobody wants it sooner."""
        return self.phase in (Phase.MORNING, Phase.EVENING) and self.interval_s >= ONCE_S

    def every_s(self, interval_s: int) -> int:
        return ONCE_S if self.once else interval_s


class Slot(NamedTuple):
    """A slot of the timetable: seconds after the open, and how many seconds it has until the next one."""

    start_s: float
    length_s: float


class Batch(NamedTuple):
    """Calls of one kind that were made in the same slot, in seconds after the open; -inf if they never were."""

    last_s: float
    calls: int


def slots_of(times: JobTimes, session: Session, from_s: float = 0.0) -> tuple[Slot, ...]:
    """Return the slots of a full session that last longer than so many seconds after the open."""
    starts = [(due.start - session.open).total_seconds() for due in times.in_session(session)]
    ends = [*starts[1:], (session.close - session.open).total_seconds()]
    return tuple(Slot(start, end - start) for start, end in zip(starts, ends, strict=True) if end > from_s)


def in_turn(core: bool, place: int, last_s: float) -> tuple[bool, int, float, int]:
    """Return the sort key of a call: core kinds in their order, then the rest; each time what is stalest first."""
    return not core, place if core else 0, last_s, place


def calls_in(
    slots: Sequence[Slot], intervals_s: Iterable[tuple[Need, int | None]], asked_s: Mapping[str, float]
) -> int:
    """Return how many calls these kinds take if nothing holds them back; None is a kind that is left out."""
    return sum(
        need.calls * renewals(slots, need.every_s(interval_s), asked_s.get(need.name, -inf))
        for need, interval_s in intervals_s
        if interval_s is not None
    )


def renewals(slots: Sequence[Slot], every_s: int, last_s: float) -> int:
    """Return how often something is fetched in these slots if nothing holds it back."""
    count = 0
    for slot in slots:
        if slot.start_s - last_s >= every_s:
            count, last_s = count + 1, slot.start_s
    return count


class Course:
    """What fetching slot by slot comes to, by kind: its calls, and the greatest age of a reply when it is renewed.

    `every_s` is the interval of each kind, `asked_s` when its stalest reply came, in seconds after the open, for kinds
    of which every symbol has a reply of this session. `complete_s` is when every symbol had its first reply, in seconds
    after the first fetch began; None if some never get one. Without `per_minute`, calls have no limit.
    """

    def __init__(
        self,
        needs: Sequence[Need],
        every_s: Mapping[str, int],
        slots: Sequence[Slot],
        per_minute: float | None,
        asked_s: Mapping[str, float],
    ) -> None:
        self._needs = needs
        self._every_s = every_s
        self._per_s = None if per_minute is None else per_minute / 60
        self._batches = {need.name: [Batch(asked_s.get(need.name, -inf), need.calls)] for need in needs if need.calls}
        self.calls = {need.name: 0 for need in needs}
        self.age_s: dict[str, float] = {}
        self.complete_s: dict[str, float | None] = {
            need.name: 0.0 if need.name in asked_s or not need.calls else None for need in needs
        }
        for slot in slots:
            self.fetch(slot, slots[0].start_s)

    def fetch(self, slot: Slot, first_s: float) -> None:
        room = inf if self._per_s is None else slot.length_s * self._per_s
        done = 0
        for name, batch in self._due(slot.start_s):
            taken = int(min(batch.calls, max(room - done, 0)))
            done += taken
            arrival_s = slot.start_s + (done / self._per_s if self._per_s else 0.0)
            self._move(name, batch, taken, slot.start_s)
            seen_s = arrival_s if taken == batch.calls else slot.start_s + slot.length_s
            if batch.last_s > -inf:
                self.age_s[name] = max(self.age_s.get(name, 0.0), seen_s - batch.last_s)
            elif taken and all(left.last_s > -inf for left in self._batches[name]):
                self.complete_s[name] = arrival_s - first_s

    def _due(self, now_s: float) -> list[tuple[str, Batch]]:
        due = [
            (in_turn(need.core, place, batch.last_s), need.name, batch)
            for place, need in enumerate(self._needs)
            for batch in self._batches.get(need.name, ())
            if now_s - batch.last_s >= self._every_s[need.name]
        ]
        return [(name, batch) for _, name, batch in sorted(due)]

    def _move(self, name: str, batch: Batch, taken: int, now_s: float) -> None:
        if not taken:
            return
        self.calls[name] += taken
        batches = self._batches[name]
        batches.remove(batch)
        if taken < batch.calls:
            batches.insert(0, Batch(batch.last_s, batch.calls - taken))
        renewed = sum(other.calls for other in batches if other.last_s == now_s) + taken
        self._batches[name] = [*(other for other in batches if other.last_s != now_s), Batch(now_s, renewed)]
