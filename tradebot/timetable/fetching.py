"""Plan a session of fetching flow before the first call: what fits the source's limits, and what is given up.

If symbols and kinds don't fit, kinds are fetched less often as long as their replies stay fresh, and then left out:
those that aren't core first, alerts last. If somebody else uses up calls during the day, the rest of the session is
planned again. A configuration with which not even alerts stay fresh doesn't load.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from math import inf

from msgspec import Struct

from tradebot.model.flow import FLOW_ALERTS, Allowance
from tradebot.model.kind import AnyKind
from tradebot.timetable.fetch_course import Need, renewals, slots_of
from tradebot.timetable.fetch_fitting import Fitting
from tradebot.timetable.job_times import JobTimes


class Outcome(StrEnum):
    """What the plan does with a kind of facts."""

    AS_CONFIGURED = "as configured"
    LESS_OFTEN = "less often"
    LEFT_OUT = "left out"
    TOO_OLD = "gets too old"


class Line(Struct, frozen=True):
    """What is planned for one kind of facts.

    `interval_s` is None if it is left out, `oldest_s` how old its oldest reply gets before it is renewed (None if it
    never is), and `complete_s` when every symbol has its first reply, in seconds after the first fetch began.
    """

    need: Need
    interval_s: int | None
    calls: int
    oldest_s: float | None
    complete_s: float | None

    @property
    def outcome(self) -> Outcome:
        """Return what the plan does with this kind."""
        limit_s = self.need.max_age_s
        if self.interval_s is None:
            return Outcome.LEFT_OUT
        if limit_s is not None and self.oldest_s is not None and self.oldest_s >= limit_s:
            return Outcome.TOO_OLD
        return Outcome.LESS_OFTEN if self.interval_s > self.need.interval_s else Outcome.AS_CONFIGURED


class FetchPlan(Struct, frozen=True):
    """The plan for one full session, or for the rest of one; its lines are in the order of fetching.

    `allowance` is None for a source without a limit, and `day` how many calls the timetable may make.
    """

    lines: tuple[Line, ...]
    times: JobTimes
    allowance: Allowance | None
    day: int | None

    @classmethod
    def of(
        cls,
        needs: Iterable[Need],
        times: JobTimes,
        allowance: Allowance | None = None,
        *,
        from_s: float = 0.0,
        asked_s: Mapping[str, float] | None = None,
        left: int | None = None,
    ) -> "FetchPlan":
        """Return the plan for fetching these kinds, core ones first.

        With `from_s`, it is for the rest of a session, in seconds after its open. `asked_s` says when the stalest reply
        came of each kind of which every symbol has one, and `left` how many calls the timetable still may make.
        """
        ordered = tuple(sorted(needs, key=lambda need: not need.core))
        day = (allowance.planned_a_day if left is None else max(left, 0)) if allowance else None
        rate = allowance.rate if allowance else None
        fitting = Fitting(ordered, slots_of(times, from_s), rate, day, asked_s or {})
        intervals = fitting.intervals()
        course = fitting.course(intervals)
        lines = (
            Line(need, intervals[need.name], course.calls.get(need.name, 0), course.age_s.get(need.name),
                 course.complete_s.get(need.name))
            for need in ordered
        )  # fmt: skip
        return cls(tuple(lines), times, allowance, day)

    @property
    def calls(self) -> int:
        """Return how many calls the session makes."""
        return sum(line.calls for line in self.lines)

    @property
    def wanted_calls(self) -> int:
        """Return how many calls a session would make if everything were fetched as configured."""
        slots = slots_of(self.times)
        needs = (line.need for line in self.lines)
        return sum(need.calls * renewals(slots, need.every_s(need.interval_s), -inf) for need in needs)

    @property
    def first_calls(self) -> int:
        """Return how many calls it takes to ask about everything once."""
        return sum(line.need.calls for line in self.lines if line.interval_s is not None)

    @property
    def first_s(self) -> float:
        """Return how many seconds pass from the start of the first fetch until everything has been asked about once.

        That may take more than one fetch: each ends before the next slot begins.
        """
        return max((line.complete_s for line in self.lines if line.complete_s is not None), default=0.0)

    def room(self, after_open_s: float) -> int | None:
        """Return how many calls fit before the next slot begins; None if there is no limit, or no slot is left."""
        if self.allowance is None:
            return None
        starts = [slot.start_s for slot in slots_of(self.times) if slot.start_s > after_open_s]
        return max(int((starts[0] - after_open_s) * self.allowance.rate / 60), 1) if starts else None

    def calls_after(self, after_open_s: float, asked_s: Mapping[str, float]) -> int:
        """Return how many calls the plan still makes from a time on, given when each kind's stalest reply came."""
        slots = slots_of(self.times, after_open_s)
        return sum(
            line.need.calls * renewals(slots, line.need.every_s(line.interval_s), asked_s.get(line.need.name, -inf))
            for line in self.lines
            if line.interval_s is not None
        )

    @property
    def intervals_s(self) -> Mapping[str, int]:
        """Return the planned interval of each kind that is fetched, in the order of fetching."""
        return {line.need.name: line.interval_s for line in self.lines if line.interval_s is not None}

    @property
    def alerts(self) -> Line | None:
        """Return what is planned for alerts; None if nothing needs them."""
        return next((line for line in self.lines if line.need.name == FLOW_ALERTS), None)

    @property
    def fits(self) -> bool:
        """Return True if alerts stay fresh enough for entries all session long."""
        return self.alerts is None or self.alerts.outcome in (Outcome.AS_CONFIGURED, Outcome.LESS_OFTEN)

    @property
    def given_up(self) -> tuple[Line, ...]:
        """Return the lines that aren't as configured."""
        return tuple(line for line in self.lines if line.outcome is not Outcome.AS_CONFIGURED)


def needs_of(needed: Mapping[AnyKind, Sequence[str]], poll_s: Mapping[str, int], max_flow_age_s: int) -> Iterator[Need]:
    """Yield what has to be fetched, in order; but for alerts, no interval is longer than the kind's freshness limit."""
    for kind, keys in needed.items():
        is_alerts = kind.name == FLOW_ALERTS
        limit_s = max_flow_age_s if is_alerts else kind.max_age_s
        wanted_s = kind.interval_s(poll_s)
        interval_s = wanted_s if limit_s is None or is_alerts else min(wanted_s, limit_s)
        calls = 1 if kind.market_wide else len(keys)
        yield Need(kind.name, kind.scope, calls, interval_s, kind.core or is_alerts, limit_s, kind.phase)


def fetching_problems(needs: Sequence[Need], times: JobTimes, allowance: Allowance | None) -> Iterator[str]:
    """Yield why alerts can't stay fresh, even if nothing else is fetched; nothing if they can."""
    alerts = [need for need in needs if need.name == FLOW_ALERTS]
    for need in alerts:
        limit_s = need.max_age_s
        by_itself = FetchPlan.of(alerts, times)
        if not by_itself.fits:
            assert by_itself.lines[0].oldest_s is not None
            yield (
                f"flow gets {by_itself.lines[0].oldest_s:,.0f} s old, not less than limits.max_flow_age_s {limit_s}: "
                f"it would count as stale before it is fetched again. unusual_whales.poll_s.flow_alerts is "
                f"{need.interval_s}, timetable.fetch-flow {times}; change one of them"
            )
        elif allowance and not FetchPlan.of(alerts, times, allowance).fits:
            yield (
                f"the {need.calls:,} symbols of universe are too many for a flow source that allows "
                f"{allowance.per_minute:,} calls a minute and {allowance.per_day:,} a day (unusual_whales): even if "
                f"nothing but alerts were fetched, they would get older than limits.max_flow_age_s {limit_s}; "
                f"{_most(need, times, allowance):,} symbols would fit"
            )


def _most(alerts: Need, times: JobTimes, allowance: Allowance) -> int:
    """Return for how many symbols alerts stay fresh."""
    fitting, too_many = 0, alerts.calls
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        need = Need(alerts.name, alerts.scope, middle, alerts.interval_s, True, alerts.max_age_s, alerts.phase)
        fitting, too_many = (middle, too_many) if FetchPlan.of([need], times, allowance).fits else (fitting, middle)
    return fitting
