"""Economic reports and speeches that are due."""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter

from tradebot.model.kind import Fact, Kind, Row, Scope, documented
from tradebot.signals import rows

SPEECH = "fed-speaker"


class EconomicEvent(Fact, frozen=True):
    """A report, a decision of the central bank (fomc) or a speech (fed-speaker), which is due at a time.

    `listed` is the New York date on which the source listed it.
    """

    listed: date
    at: datetime
    type: str


def _parse(row: Row, symbol: str, at: datetime) -> EconomicEvent:
    due, event = rows.any_time(row, "time"), rows.text(row, "event")
    return EconomicEvent(f"{due.isoformat()}/{event}", rows.new_york_day(at), due, rows.text(row, "type"))


def _condense(events: Sequence[tuple[date, datetime, str]]) -> tuple[datetime, ...]:
    """Return when the releases of the newest list are due, the first one first; what was taken off it is gone."""
    newest = max(listed for listed, _, _ in events)
    return tuple(sorted(at for listed, at, kind in events if listed == newest and kind != SPEECH))


KIND = Kind(
    name="economic_calendar",
    unit="times",
    sign="none: a report may go either way",
    absent="no list of the last days",
    fact=EconomicEvent,
    path="/api/market/economic-calendar",
    parse=_parse,
    moment=attrgetter("listed"),
    lean=attrgetter("listed", "at", "type"),
    condense=_condense,
    scope=Scope.MARKET,
    past_days=4,
    fields=documented("text event time type, text? forecast prev reported_period"),
)
