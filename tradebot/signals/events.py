"""When the next event of a company is due, by the calendars that are known."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time

from tradebot.model.kind import NEW_YORK, AnyKind
from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds import earnings, fda_calendar
from tradebot.signals.kinds.earnings import UNKNOWN, EarningsFacts
from tradebot.signals.normalize import source_ticker


def next_report(facts: SymbolFacts, today: date) -> EarningsFacts | None:
    """Return the first report that isn't before `today` (New York), or None if no such report is known.

    The newest alert names the next report too, without the time of day. It counts if no reply about earnings does.
    """
    known = earnings.KIND.of(facts.known)
    if known is not None and known.next is not None and known.next >= today:
        return known
    named = facts.alerts[-1].next_earnings if facts.alerts else None
    return EarningsFacts(named, UNKNOWN) if named is not None and named >= today else None


READS: tuple[AnyKind, ...] = (earnings.KIND, fda_calendar.KIND)
"""The kinds of facts that events are read from."""
FIRST_TRADE, CLOSE = time(4), time(16)
"""When trading before the session begins in New York, and when the session ends."""


def next_event(facts: SymbolFacts, market: Mapping[str, object], now: datetime) -> datetime | None:
    """Return when the symbol's next event may come at the earliest, in UTC; None if no event is known.

    An event of which only the date is known may come as soon as somebody could trade on it that day.
    """
    return min((due for due in _due(facts, market, now) if due >= now), default=None)


def _due(facts: SymbolFacts, market: Mapping[str, object], now: datetime) -> Iterator[datetime]:
    report = next_report(facts, now.astimezone(NEW_YORK).date())
    if report is not None and report.next is not None:
        yield _at(report.next, CLOSE if report.when == "postmarket" else FIRST_TRADE)
    for event in (fda_calendar.KIND.of(market) or {}).get(source_ticker(facts.symbol).upper(), ()):
        yield _at(event.start, FIRST_TRADE)


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)
