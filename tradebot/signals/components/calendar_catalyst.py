"""How close the flow is to events that will move the price."""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from tradebot.model.kind import NEW_YORK
from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.events import next_report
from tradebot.signals.kinds import earnings, economic_calendar, fda_calendar
from tradebot.signals.normalize import source_ticker
from tradebot.signals.rows import new_york_day
from tradebot.signals.scoring import Known, Shown

REACH_DAYS = 7


class Ahead(NamedTuple):
    """How near the next report of earnings and the next decision of the FDA are, from 0 (a week away or none) to 1.

    `releases` counts today's economic releases without speeches.
    """

    earnings: float
    fda: float
    releases: int


def _ahead(known: Known) -> Ahead | None:
    today = new_york_day(known.now)
    report, decisions = next_report(known.facts, today), fda_calendar.KIND.of(known.market)
    releases = economic_calendar.KIND.of(known.market)
    if report is None and decisions is None and releases is None:
        return None
    own = decisions.get(source_ticker(known.facts.symbol).upper(), ()) if decisions else ()
    decision = min([each.start for each in own if each.start >= today], default=None) if own else None
    first, last = (bisect_left(releases.times if releases else (), bound) for bound in _bounds(today))
    return Ahead(_nearness(report.next if report else None, today), _nearness(decision, today), last - first)


@lru_cache(maxsize=4)
def _bounds(day: date) -> tuple[datetime, datetime]:
    """Return when a New York date begins and ends, in UTC."""
    starts = (datetime.combine(each, time(), NEW_YORK) for each in (day, day + timedelta(days=1)))
    begins, ends = (start.astimezone(UTC) for start in starts)
    return begins, ends


def _nearness(day: date | None, today: date) -> float:
    """Return 1 if a day that isn't over is today, and 0 if it is a week away or there is none."""
    return 0.0 if day is None else max(0.0, 1 - (day - today).days / REACH_DAYS)


COMPONENT = FlowShare(
    name="calendar_catalyst",
    family="events",
    reads=(earnings.KIND, fda_calendar.KIND, economic_calendar.KIND, *READS),
    sign="with the flow, the nearer the events",
    looks_at=_ahead,
    shows={"earnings": Shown("0 to 1"), "fda": Shown("0 to 1"), "releases": Shown("releases")},
    formula="flow * min(1, 0.4 * earnings + 0.5 * fda + 0.2 * min(1, releases / 3))",
    absent="no direction of the flow, or none of the three calendars is known",
    source=lambda known: "calendars",
    after="the weights of the bot before this one; here, a decision of the FDA counts more the nearer it is",
    inferred="that options bought before an event were bought because of it",
)
