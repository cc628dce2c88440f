"""How long it takes to fetch flow for a whole universe, and what that does to the age of the flow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.kind import AnyKind
from tradebot.timetable.job_times import WHOLE_DAY, JobTimes


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch of a session: seconds after the open, the kinds of facts that are due, and how many calls it makes."""

    start_s: float
    due: tuple[str, ...]
    calls: int


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """The fetches of one full session at so many calls a minute; None for no limit.

    `calls_of` says how many calls each kind of facts takes, one per symbol or only one, in the order of asking, and
    `poll_s` how often it is fetched. Alerts are among the kinds.
    """

    calls_of: Mapping[str, int]
    poll_s: Mapping[str, int]
    times: JobTimes
    calls_per_minute: int | None = None

    @classmethod
    def of(
        cls,
        needed: Mapping[AnyKind, Sequence[str]],
        poll_s: Mapping[str, int],
        times: JobTimes,
        calls_per_minute: int | None = None,
    ) -> "FetchPlan":
        """Return the plan for fetching these kinds of facts, each for its symbols, at the configured intervals."""
        calls_of = {kind.name: 1 if kind.market_wide else len(symbols) for kind, symbols in needed.items()}
        return cls(calls_of, {kind.name: kind.interval_s(poll_s) for kind in needed}, times, calls_per_minute)

    @property
    def symbols(self) -> int:
        """Return for how many symbols alerts are fetched."""
        return self.calls_of[FLOW_ALERTS]

    @property
    def calls(self) -> int:
        """Return how many calls a session makes."""
        return sum(fetch.calls for fetch in self.fetches())

    @property
    def first_s(self) -> float:
        """Return how many seconds the first fetch of a session takes: then everything is due."""
        return self._takes_s(tuple(self.calls_of))

    @property
    def per_minute(self) -> float:
        """Return how many calls a minute are due from the first fetch on, if each fetch took no time."""
        fetches = list(FetchPlan(self.calls_of, self.poll_s, self.times).fetches())
        minutes = (fetches[-1].start_s - fetches[0].start_s) / 60
        return sum(fetch.calls for fetch in fetches[1:]) / minutes if minutes else 0.0

    @property
    def oldest_s(self) -> float:
        """Return how old a symbol's alerts get before they are fetched again; 0 if they are fetched once a session.

        Answers are dated by the start of their fetch, so the last symbol's are the oldest.
        """
        renewals = [fetch for fetch in self.fetches() if FLOW_ALERTS in fetch.due]
        ages = (
            self._until_alerts_s(later.due) + later.start_s - earlier.start_s for earlier, later in pairwise(renewals)
        )
        return max(ages, default=0.0)

    def fetches(self) -> Iterator[Fetch]:
        """Yield the fetches in order. A slot that begins while the fetch before it still runs is left out."""
        last: dict[str, float] = {}
        free_s = 0.0
        for slot in self.times.in_session(WHOLE_DAY):
            start_s = (slot.start - WHOLE_DAY.open).total_seconds()
            if start_s < free_s:
                continue
            due = tuple(kind for kind in self.calls_of if start_s - last.get(kind, -inf) >= self.poll_s[kind])
            last |= dict.fromkeys(due, start_s)
            free_s = start_s + self._takes_s(due)
            yield Fetch(start_s, due, self._calls(due))

    def _calls(self, kinds: tuple[str, ...]) -> int:
        return sum(self.calls_of[kind] for kind in kinds)

    def _takes_s(self, kinds: tuple[str, ...]) -> float:
        return self._calls(kinds) * 60 / self.calls_per_minute if self.calls_per_minute else 0.0

    def _until_alerts_s(self, due: tuple[str, ...]) -> float:
        """Return when in a fetch the last symbol's alerts arrive: kinds are asked one after the other."""
        return self._takes_s(due[: due.index(FLOW_ALERTS) + 1])


def fetching_problems(plan: FetchPlan, max_age_s: int, daily_calls: int) -> Iterator[str]:
    """Yield why flow can't be fetched as configured: it gets too old, or it takes more calls than the source allows."""
    universe = f"the {plan.symbols:,} symbols of universe"
    limit, needed = plan.calls_per_minute, FetchPlan(plan.calls_of, plan.poll_s, plan.times)
    if limit and needed.per_minute > limit:
        yield (
            f"{universe} need {needed.per_minute:,.0f} calls a minute to the flow source, more than the {limit} that "
            "it gets: fetches would fall further and further behind; raise unusual_whales.poll_s or name fewer symbols"
        )
    if limit and needed.calls > daily_calls:
        yield (
            f"{universe} need {needed.calls:,} calls a session to the flow source, more than "
            f"unusual_whales.daily_calls {daily_calls:,}: flow would be missing from then on; raise "
            "unusual_whales.poll_s or name fewer symbols"
        )
    if plan.oldest_s >= max_age_s:
        takes = f", and the first fetch of a session takes {plan.first_s:,.0f} s" if limit else ""
        poll_s = plan.poll_s[FLOW_ALERTS]
        yield (
            f"flow of {universe} gets {plan.oldest_s:,.0f} s old, not less than limits.max_flow_age_s {max_age_s}: it "
            f"would count as stale before it is fetched again. unusual_whales.poll_s.flow_alerts is {poll_s}, "
            f"timetable.fetch-flow {plan.times}{takes}; name fewer symbols or change these settings"
        )
