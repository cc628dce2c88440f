"""Decisions on drugs that companies wait for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from tradebot.model.kind import Fact, Kind, Row, Scope, documented
from tradebot.signals import rows

_LONGEST_TITLE = 60
REACH = timedelta(days=90)
"""How far ahead we ask."""


class FdaEvent(Fact, frozen=True):
    """An event of a company (the source's spelling of its ticker) that is due between two dates.

    `listed` is the New York date on which the source listed it.
    """

    ticker: str
    listed: date
    start: date
    end: date


def _parse(row: Row, symbol: str, at: datetime) -> FdaEvent:
    ticker, drug = rows.text(row, "ticker").upper(), rows.text(row, "drug")
    start, end = rows.day(row, "start_date"), rows.day(row, "end_date")
    if end < start:
        raise rows.BadRowError("end_date is before start_date")
    what = rows.optional(rows.text, row, "catalyst") or rows.text(row, "status")
    identity = f"{ticker}/{drug[:_LONGEST_TITLE]}/{what[:_LONGEST_TITLE]}/{start.isoformat()}/{end.isoformat()}"
    return FdaEvent(identity, ticker, rows.new_york_day(at), start, end)


def _condense(events: Sequence[FdaEvent]) -> Mapping[str, tuple[FdaEvent, ...]]:
    """Return the events of the newest list by ticker, the first one first; an event that was taken off is gone."""
    newest = max(event.listed for event in events)
    by_ticker = defaultdict[str, list[FdaEvent]](list)
    for event in sorted(events, key=lambda event: (event.start, event.end, event.id)):
        if event.listed == newest:
            by_ticker[event.ticker].append(event)
    return {ticker: tuple(found) for ticker, found in by_ticker.items()}


KIND = Kind(
    name="fda_calendar",
    unit="dates",
    sign="none: a decision may go either way",
    absent="no list of the last days",
    fact=FdaEvent,
    path="/api/market/fda-calendar",
    params={
        "target_date_min": date.isoformat,
        "target_date_max": lambda session: (session + REACH).isoformat(),
        "limit": "200",
    },
    parse=_parse,
    moment=lambda event: event.listed,
    condense=_condense,
    scope=Scope.MARKET,
    past_days=4,
    fields=documented(
        "text drug end_date start_date status ticker, text? catalyst description indication notes outcome "
        "outcome_brief source_link, decimal? marketcap, boolean? has_options"
    ),
)
