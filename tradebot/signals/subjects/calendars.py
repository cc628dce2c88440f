"""Scheduled events: earnings reports, drug decisions, and economic releases."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.fact_kind import NEW_YORK, AnyKind, Fact, Kind, ReplyScope, Row, SymbolFact, parse_field_types
from tradebot.model.record import SymbolFacts
from tradebot.signals import fields
from tradebot.signals.fields import new_york_day
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, NumberFormat, ScoringInputs
from tradebot.signals.subjects.alerts import FLOW_READS, FlowShare

UNKNOWN = "unknown"
WHEN = ("premarket", "postmarket", UNKNOWN)


class EarningsReport(SymbolFact, frozen=True):
    """One earnings report: its date, and whether it is expected premarket, postmarket, or at an unknown time.

    `seen` is the day of the reply for an upcoming report, and the report's own date for a past one.
    """

    seen: date
    date: date
    when: str


class EarningsFacts(NamedTuple):
    """The next earnings report that the source last listed, or the latest past one if none is upcoming."""

    next: date | None
    when: str


def _parse_earnings(row: Row, symbol: str, at: datetime) -> EarningsReport:
    day = fields.day(row, "report_date")
    when = (fields.optional(fields.text, row, "report_time") or UNKNOWN).lower()
    if when not in WHEN:
        raise fields.BadRowError("report_time has a value that the source doesn't document")
    return EarningsReport(day.isoformat(), symbol, min(day, at.astimezone(NEW_YORK).date()), day, when)


def _condense_earnings(reports: Sequence[EarningsReport]) -> EarningsFacts:
    """Return the next report. If its date was moved, the date in the last reply counts."""
    newest = max(report.seen for report in reports)
    coming = [report for report in reports if report.seen == newest and report.date >= newest]
    following = min(coming, key=lambda report: report.date)
    return EarningsFacts(following.date, following.when)


EARNINGS_KIND = Kind(
    name="earnings",
    unit="date",
    sign="none: the date of the next earnings report",
    absent="no report known",
    fact=EarningsReport,
    path="/api/earnings/{}",
    parse=_parse_earnings,
    moment=lambda report: report.seen,
    condense=_condense_earnings,
    past_days=7,
    max_age_s=7 * 86_400,
    fields=parse_field_types(
        "text report_date, text? report_time source ending_fiscal_quarter, decimal? actual_eps street_mean_est "
        "expected_move expected_move_perc long_straddle_1d long_straddle_1w short_straddle_1d short_straddle_1w "
        "pre_earnings_move_1d pre_earnings_move_3d pre_earnings_move_1w pre_earnings_move_2w post_earnings_move_1d "
        "post_earnings_move_3d post_earnings_move_1w post_earnings_move_2w"
    ),
)
"""When a company reports its earnings."""


_LONGEST_TITLE = 60
FDA_REACH = timedelta(days=90)
"""How far ahead events are fetched."""


class FdaEvent(Fact, frozen=True):
    """An event of a company (the source's spelling of its ticker) that is due between two dates.

    `listed` is the New York date on which the source listed it.
    """

    ticker: str
    listed: date
    start: date
    end: date


def _parse_fda_calendar(row: Row, symbol: str, at: datetime) -> FdaEvent:
    ticker, drug = fields.text(row, "ticker").upper(), fields.text(row, "drug")
    start, end = fields.day(row, "start_date"), fields.day(row, "end_date")
    if end < start:
        raise fields.BadRowError("end_date is before start_date")
    what = fields.optional(fields.text, row, "catalyst") or fields.text(row, "status")
    identity = f"{ticker}/{drug[:_LONGEST_TITLE]}/{what[:_LONGEST_TITLE]}/{start.isoformat()}/{end.isoformat()}"
    return FdaEvent(identity, ticker, fields.new_york_day(at), start, end)


def _condense_fda_calendar(events: Sequence[FdaEvent]) -> Mapping[str, tuple[FdaEvent, ...]]:
    """Return the events of the newest list by ticker, the first one first; events no longer listed are dropped."""
    newest = max(event.listed for event in events)
    by_ticker = defaultdict[str, list[FdaEvent]](list)
    for event in sorted(events, key=lambda event: (event.start, event.end, event.id)):
        if event.listed == newest:
            by_ticker[event.ticker].append(event)
    return {ticker: tuple(fda_events) for ticker, fda_events in by_ticker.items()}


FDA_CALENDAR_KIND = Kind(
    name="fda_calendar",
    unit="dates",
    sign="none: a decision may go either way",
    absent="no list of the last days",
    fact=FdaEvent,
    path="/api/market/fda-calendar",
    params={
        "target_date_min": date.isoformat,
        "target_date_max": lambda session: (session + FDA_REACH).isoformat(),
        "limit": "200",
    },
    parse=_parse_fda_calendar,
    moment=lambda event: event.listed,
    condense=_condense_fda_calendar,
    scope=ReplyScope.MARKET,
    past_days=4,
    fields=parse_field_types(
        "text drug end_date start_date status ticker, text? catalyst description indication notes outcome "
        "outcome_brief source_link, decimal? marketcap, boolean? has_options"
    ),
)
"""Decisions on drugs that companies wait for."""


SPEECH = "fed-speaker"
DECISION = "fomc"


class Release(StrEnum):
    """An economic release that moves all markets; OTHER is any other report."""

    CPI = "cpi"
    FOMC = "fomc"
    PAYROLLS = "payrolls"
    OTHER = "other"


_NAMES = {
    Release.CPI: re.compile(r"\b(cpi|consumer price index)\b", re.IGNORECASE),
    Release.PAYROLLS: re.compile(r"\b(nonfarm payrolls?|(?<!adp )employment report)\b", re.IGNORECASE),
}
"""How the source's texts name these releases. Decisions of the central bank have a type of their own."""


class EconomicEvent(Fact, frozen=True):
    """A scheduled report, decision of the central bank (fomc) or speech (fed-speaker).

    `listed` is the New York date on which the source listed it. `release` is OTHER in rows stored by earlier versions,
    which didn't read it.
    """

    listed: date
    at: datetime
    type: str
    release: Release = Release.OTHER


class ReleaseCalendar(NamedTuple):
    """When the releases of the newest list are due, earliest first, and which of them are CPI, FOMC and payrolls.

    `listed` is the New York date of the list.
    """

    listed: date
    times: tuple[datetime, ...]
    major: tuple[datetime, ...]


def _release(event: str, kind: str) -> Release:
    """Return which release a row of the source is about."""
    if kind == DECISION:
        return Release.FOMC
    return next((release for release, name in _NAMES.items() if name.search(event)), Release.OTHER)


def _parse_economic_calendar(row: Row, symbol: str, at: datetime) -> EconomicEvent:
    due, event, kind = fields.any_time(row, "time"), fields.text(row, "event"), fields.text(row, "type")
    return EconomicEvent(f"{due.isoformat()}/{event}", fields.new_york_day(at), due, kind, _release(event, kind))


def _condense_economic_calendar(events: Sequence[tuple[date, datetime, str, Release]]) -> ReleaseCalendar:
    """Return the newest list without speeches; events no longer listed are dropped."""
    newest = max(listed for listed, _, _, _ in events)
    due = sorted((at, release) for listed, at, kind, release in events if listed == newest and kind != SPEECH)
    major = [at for at, release in due if release is not Release.OTHER]
    return ReleaseCalendar(newest, tuple(at for at, _ in due), tuple(major))


ECONOMIC_CALENDAR_KIND = Kind(
    name="economic_calendar",
    unit="times",
    sign="none: a report may go either way",
    absent="no list of the last days",
    fact=EconomicEvent,
    path="/api/market/economic-calendar",
    parse=_parse_economic_calendar,
    moment=attrgetter("listed"),
    lean=attrgetter("listed", "at", "type", "release"),
    condense=_condense_economic_calendar,
    scope=ReplyScope.MARKET,
    past_days=4,
    fields=parse_field_types("text event time type, text? forecast prev reported_period"),
)
"""Economic reports and speeches that are due."""


def next_report(facts: SymbolFacts, today: date) -> EarningsFacts | None:
    """Return the first earnings report that isn't before `today` (New York), or None if none is known.

    The newest alert names the date of the next report too, without the time of day. That date is used if no reply about
    earnings has one.
    """
    report = EARNINGS_KIND.of(facts.known)
    if report is not None and report.next is not None and report.next >= today:
        return report
    named = facts.alerts[-1].next_earnings if facts.alerts else None
    return EarningsFacts(named, UNKNOWN) if named is not None and named >= today else None


EVENT_READS: tuple[AnyKind, ...] = (EARNINGS_KIND, FDA_CALENDAR_KIND)
"""The kinds of facts that contain events."""
FIRST_TRADE, CLOSE = time(4), time(16)
"""When trading before the session begins in New York, and when the session ends."""


def next_event(facts: SymbolFacts, market: Mapping[str, object], now: datetime) -> datetime | None:
    """Return the earliest time of the symbol's next event, in UTC; None if no event is known.

    An event with only a date counts from the first moment at which anyone could trade on it that day.
    """
    return min((due for due in _due(facts, market, now) if due >= now), default=None)


def _due(facts: SymbolFacts, market: Mapping[str, object], now: datetime) -> Iterator[datetime]:
    report = next_report(facts, now.astimezone(NEW_YORK).date())
    if report is not None and report.next is not None:
        yield _at(report.next, CLOSE if report.when == "postmarket" else FIRST_TRADE)
    for event in (FDA_CALENDAR_KIND.of(market) or {}).get(source_ticker(facts.symbol).upper(), ()):
        yield _at(event.start, FIRST_TRADE)


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)


_DAY = timedelta(days=1)
ALIGNMENT_DAYS = 14
"""How many days before an earnings report the alerts begin to count as related to it."""


class Aligned(NamedTuple):
    """The premium in USD of the alerts that expire after the next earnings report, the premium of all alerts, and the
    date of that report.
    """

    days: int
    aligned: float
    total: float
    report: date


def _align_with_report(inputs: ScoringInputs) -> Aligned | None:
    today = new_york_day(inputs.now)
    report = next_report(inputs.facts, today)
    if report is None or report.next is None:
        return None
    first = report.next + _DAY if report.when == "postmarket" else report.next
    aligned = fsum([alert.usd for alert in inputs.alerts if alert.expiry >= first])
    return Aligned((report.next - today).days, aligned, fsum([alert.usd for alert in inputs.alerts]), report.next)


EVENT_ALIGNMENT_COMPONENT = FlowShare(
    name="event_alignment",
    family="events",
    reads=(EARNINGS_KIND, *FLOW_READS),
    sign="in the flow's direction if its options expire after an earnings report that is near",
    looks_at=_align_with_report,
    shows={"days": NumberFormat("days", "report"), "aligned": NumberFormat(USD), "total": NumberFormat(USD)},
    formula=f"flow * max(0, 1 - days / {ALIGNMENT_DAYS}) * aligned / total if total else 0",
    absent="no direction of the flow, or no date of a report known",
    source=lambda inputs: "next report",
    after="tradebot: the share of the premium that is exposed to the report, fading over two weeks",
    inferred="that an option which outlives a report was bought because of it",
)
"""Whether the alerts bet on the next earnings report."""


CATALYST_DAYS = 7


class UpcomingEvents(NamedTuple):
    """How near the next earnings report and the next FDA decision are, from 0 (a week away or none) to 1.

    `releases` counts today's economic releases without speeches.
    """

    earnings: float
    fda: float
    releases: int


def _ahead(inputs: ScoringInputs) -> UpcomingEvents | None:
    today = new_york_day(inputs.now)
    report, decisions = next_report(inputs.facts, today), FDA_CALENDAR_KIND.of(inputs.market)
    releases = ECONOMIC_CALENDAR_KIND.of(inputs.market)
    if report is None and decisions is None and releases is None:
        return None
    own = decisions.get(source_ticker(inputs.facts.symbol).upper(), ()) if decisions else ()
    decision = min([each.start for each in own if each.start >= today], default=None) if own else None
    first, last = (bisect_left(releases.times if releases else (), bound) for bound in _bounds(today))
    return UpcomingEvents(_nearness(report.next if report else None, today), _nearness(decision, today), last - first)


@lru_cache(maxsize=4)
def _bounds(day: date) -> tuple[datetime, datetime]:
    """Return when a New York date begins and ends, in UTC."""
    starts = (datetime.combine(each, time(), NEW_YORK) for each in (day, day + timedelta(days=1)))
    begins, ends = (start.astimezone(UTC) for start in starts)
    return begins, ends


def _nearness(day: date | None, today: date) -> float:
    """Return how near a day is that isn't over: from 1 for today down to 0 for a week away or more; 0 without a day."""
    return 0.0 if day is None else max(0.0, 1 - (day - today).days / CATALYST_DAYS)


CALENDAR_CATALYST_COMPONENT = FlowShare(
    name="calendar_catalyst",
    family="events",
    reads=(EARNINGS_KIND, FDA_CALENDAR_KIND, ECONOMIC_CALENDAR_KIND, *FLOW_READS),
    sign="in the flow's direction, and larger the nearer the events are",
    looks_at=_ahead,
    shows={"earnings": NumberFormat("0 to 1"), "fda": NumberFormat("0 to 1"), "releases": NumberFormat("releases")},
    formula="flow * min(1, 0.4 * earnings + 0.5 * fda + 0.2 * min(1, releases / 3))",
    absent="the flow has no direction, or none of the three calendars is known",
    source=lambda inputs: "calendars",
    after="the weights of tradebot's predecessor; here, a decision of the FDA counts more the nearer it is",
    inferred="that options bought before an event were bought because of it",
)
"""How close the flow is to events that will move the price."""
