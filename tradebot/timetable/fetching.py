"""How long it takes to fetch flow for a whole universe, and what that does to the age of the flow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tradebot.model.flow import Endpoint
from tradebot.timetable.job_times import WHOLE_DAY, JobTimes


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch of a session: seconds after the open, the endpoints that are due, and how many calls it makes."""

    start_s: float
    due: tuple[Endpoint, ...]
    calls: int


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """The fetches of one full session for a number of symbols, at so many calls a minute; None for no limit."""

    symbols: int
    poll_s: Mapping[Endpoint, int]
    times: JobTimes
    calls_per_minute: int | None = None

    @property
    def calls(self) -> int:
        """Return how many calls a session makes."""
        return sum(fetch.calls for fetch in self.fetches())

    @property
    def first_s(self) -> float:
        """Return how many seconds the first fetch of a session takes: then everything is due."""
        return self._takes_s(tuple(self.poll_s))

    @property
    def per_minute(self) -> float:
        """Return how many calls a minute are due from the first fetch on, if each fetch took no time."""
        fetches = list(FetchPlan(self.symbols, self.poll_s, self.times).fetches())
        minutes = (fetches[-1].start_s - fetches[0].start_s) / 60
        return sum(fetch.calls for fetch in fetches[1:]) / minutes if minutes else 0.0

    @property
    def oldest_s(self) -> float:
        """Return how old a symbol's alerts get before they are fetched again; 0 if they are fetched once a session.

        Answers are dated by the start of their fetch, so the last symbol's are the oldest.
        """
        renewals = [fetch for fetch in self.fetches() if Endpoint.FLOW_ALERTS in fetch.due]
        ages = (
            self._until_alerts_s(later.due) + later.start_s - earlier.start_s for earlier, later in pairwise(renewals)
        )
        return max(ages, default=0.0)

    def fetches(self) -> Iterator[Fetch]:
        """Yield the fetches in order. A slot that begins while the fetch before it still runs is left out."""
        last: dict[Endpoint, float] = {}
        free_s = 0.0
        for slot in self.times.in_session(WHOLE_DAY):
            start_s = (slot.start - WHOLE_DAY.open).total_seconds()
            if start_s < free_s:
                continue
            due = tuple(e for e, every_s in self.poll_s.items() if e not in last or start_s - last[e] >= every_s)
            last |= dict.fromkeys(due, start_s)
            free_s = start_s + self._takes_s(due)
            yield Fetch(start_s, due, self._calls(due))

    def _calls(self, endpoints: tuple[Endpoint, ...]) -> int:
        return sum(1 if endpoint.market_wide else self.symbols for endpoint in endpoints)

    def _takes_s(self, endpoints: tuple[Endpoint, ...]) -> float:
        return self._calls(endpoints) * 60 / self.calls_per_minute if self.calls_per_minute else 0.0

    def _until_alerts_s(self, due: tuple[Endpoint, ...]) -> float:
        """Return when in a fetch the last symbol's alerts arrive: endpoints are asked one after the other."""
        return self._takes_s(due[: due.index(Endpoint.FLOW_ALERTS) + 1])


def fetching_problems(plan: FetchPlan, max_age_s: int, daily_calls: int) -> Iterator[str]:
    """Yield why flow can't be fetched as configured: it gets too old, or it takes more calls than the source allows."""
    universe = f"the {plan.symbols:,} symbols of universe"
    limit, needed = plan.calls_per_minute, FetchPlan(plan.symbols, plan.poll_s, plan.times)
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
        poll_s = plan.poll_s[Endpoint.FLOW_ALERTS]
        yield (
            f"flow of {universe} gets {plan.oldest_s:,.0f} s old, not less than limits.max_flow_age_s {max_age_s}: it "
            f"would count as stale before it is fetched again. unusual_whales.poll_s.flow_alerts is {poll_s}, "
            f"timetable.fetch-flow {plan.times}{takes}; name fewer symbols or change these settings"
        )
