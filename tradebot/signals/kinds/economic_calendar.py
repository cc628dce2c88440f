"""Economic reports and speeches that are due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Request, Row, Scope
from tradebot.signals import rows

SPEECH = "fed-speaker"


@dataclass(frozen=True, slots=True)
class EconomicEvent:
    """A report, a decision of the central bank (fomc) or a speech (fed-speaker), which is due at a time.

    `listed` is the New York date on which the source listed it.
    """

    id: str
    listed: date
    at: datetime
    type: str


class Due(NamedTuple):
    """The part of an economic event that decisions read."""

    listed: date
    at: datetime
    type: str


def _request(ticker: str, session: date) -> Request:
    return Request("/api/market/economic-calendar", {})


def _parse(row: Row, symbol: str, at: datetime) -> EconomicEvent:
    due, event = rows.any_time(row, "time"), rows.text(row, "event")
    return EconomicEvent(f"{due.isoformat()}/{event}", rows.new_york_day(at), due, rows.text(row, "type"))


def _condense(events: Sequence[Due]) -> tuple[datetime, ...]:
    """Return when the releases of the newest list are due, the first one first, without speeches.

    An event that was taken off the list is gone.
    """
    newest = max(event.listed for event in events)
    return tuple(sorted(event.at for event in events if event.listed == newest and event.type != SPEECH))


KIND = Kind(
    name="economic_calendar",
    unit="times",
    sign="none: a report may go either way",
    absent="no list of the last days",
    source="Unusual Whales, economic calendar",
    fact=EconomicEvent,
    request=_request,
    parse=_parse,
    moment=lambda event: event.listed,
    lean=lambda event: Due(event.listed, event.at, event.type),
    condense=_condense,
    poll_s=86_400,
    scope=Scope.MARKET,
    past_days=4,
    fields={
        "event": "text",
        "forecast": "text?",
        "prev": "text?",
        "reported_period": "text?",
        "time": "text",
        "type": "text",
    },
    max_age_s=432_000,
    phase=Phase.MORNING,
)
