"""Find how often each kind of facts can be fetched within the source's limits, giving up as little as possible.

Kinds that aren't core give way first, and of these the last one in the order of fetching. Core kinds follow, and alerts
come last. In this order kinds are fetched less often, as long as their replies stay within their freshness limits. If
that isn't enough, they are left out in the same order. Whatever then fits again is taken back, most important first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from math import inf

from msgspec import Struct

from tradebot.model.flow import FLOW_ALERTS
from tradebot.timetable.fetch_course import ONCE_S, Course, Need, Slot, course, renewals

_MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 39)
"""How many slots long a longer interval may be."""

Intervals = dict[str, int | None]
"""The planned interval of each kind in seconds; None for a kind that is left out."""


class Fitting(Struct, frozen=True, dict=True):
    """The kinds to fit into a session's slots, in the order of fetching.

    `per_minute` and `day` are None for a source without limits. `asked_s` says when the stalest reply of each kind came
    of which every symbol has one, in seconds after the open.
    """

    needs: tuple[Need, ...]
    slots: Sequence[Slot]
    per_minute: float | None
    day: int | None
    asked_s: Mapping[str, float]

    def intervals(self) -> Intervals:
        """Return the intervals that fit; if nothing does, those that make no more calls than the day has."""
        planned: Intervals = {need.name: need.interval_s for need in self.needs}
        if self.fits(planned):
            return planned
        last_first = self.needs[::-1]
        first_to_give_way = sorted(last_first, key=lambda need: (need.core, need.name == FLOW_ALERTS))
        others = [need for need in first_to_give_way if need.name != FLOW_ALERTS]
        if not self._stretched(planned, first_to_give_way) and not self._left_out(planned, others):
            self._spread_over_the_day(planned)
        self._take_back(planned)
        self._shorten(planned)
        return planned

    def course(self, planned: Intervals) -> Course:
        """Return what these intervals come to."""
        needs = [need for need in self.needs if planned[need.name] is not None]
        every_s = {need.name: need.every_s(planned[need.name] or 0) for need in needs}
        return course(needs, every_s, self.slots, self.per_minute, self.asked_s)

    def fits(self, planned: Intervals) -> bool:
        """Return True if the day has enough calls, every symbol gets its replies, and these stay fresh enough."""
        if self.per_minute is None:
            return True
        if not self._has_calls(planned):
            return False
        found = self.course(planned)
        return all(
            found.complete_s[need.name] is not None and found.age_s.get(need.name, 0.0) < self._limits_s[need.name]
            for need in self.needs
            if planned[need.name] is not None
        )

    def _calls(self, planned: Intervals) -> int:
        return sum(
            need.calls * renewals(self.slots, need.every_s(interval_s), self.asked_s.get(need.name, -inf))
            for need in self.needs
            if (interval_s := planned[need.name]) is not None
        )

    @cached_property
    def _limits_s(self) -> Mapping[str, float]:
        """Return the age that each kind's replies must stay below.

        A kind whose replies get older than its limit however few calls there are isn't held to it.
        """
        limits = {}
        for need in self.needs:
            alone = course([need], {need.name: need.every_s(need.interval_s)}, self.slots, None, {})
            limit_s = inf if need.max_age_s is None else float(need.max_age_s)
            older = need.name != FLOW_ALERTS and alone.age_s.get(need.name, 0.0) >= limit_s
            limits[need.name] = inf if older else limit_s
        return limits

    def _stretched(self, planned: Intervals, group: Sequence[Need]) -> bool:
        for need in group:
            for interval_s in self._longer(need):
                planned[need.name] = interval_s
                if self.fits(planned):
                    return True
        return False

    def _left_out(self, planned: Intervals, group: Sequence[Need]) -> bool:
        for need in group:
            planned[need.name] = None
            if self.fits(planned):
                return True
        return False

    def _spread_over_the_day(self, planned: Intervals) -> None:
        """Fetch alerts as often as the day's calls allow, however old they get meanwhile."""
        for need in self.needs:
            if need.name == FLOW_ALERTS:
                longer = (each for each in self._longer(need, inf) if self._has_calls({**planned, need.name: each}))
                planned[need.name] = next(longer, None)

    def _take_back(self, planned: Intervals) -> None:
        """Take back what was left out, as seldom as it may be fetched, most important first."""
        for need in self.needs:
            if planned[need.name] is None:
                seldom_s = max((need.interval_s, *self._longer(need)))
                self._try(planned, need, (seldom_s,))

    def _shorten(self, planned: Intervals) -> None:
        """Fetch as often as fits again, most important first."""
        for need in self.needs:
            every_s = planned[need.name]
            if every_s is not None:
                shorter = (each for each in (need.interval_s, *self._longer(need)) if each < every_s)
                self._try(planned, need, shorter)

    def _try(self, planned: Intervals, need: Need, intervals_s: Iterable[int]) -> None:
        fitted = self.fits(planned)
        for every_s in intervals_s:
            if self._better({**planned, need.name: every_s}, fitted):
                planned[need.name] = every_s
                return

    def _better(self, planned: Intervals, fitted: bool) -> bool:
        """Return True if these intervals fit; if nothing can, it is enough that the day has so many calls."""
        return self.fits(planned) if fitted else self._has_calls(planned)

    def _has_calls(self, planned: Intervals) -> bool:
        return self.day is None or self._calls(planned) <= self.day

    def _longer(self, need: Need, limit_s: float | None = None) -> Iterator[int]:
        """Yield longer intervals, in slots, up to the freshness limit."""
        if need.once or not self.slots:
            return
        slot_s = sorted(slot.length_s for slot in self.slots)[len(self.slots) // 2]
        longest_s = self._limits_s[need.name] if limit_s is None else limit_s
        yield from (int(many * slot_s) for many in _MULTIPLES if need.interval_s < many * slot_s < longest_s)
        if longest_s > ONCE_S > need.interval_s:
            yield ONCE_S
