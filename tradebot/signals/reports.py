"""When a symbol's company reports its earnings next, from whichever source says so."""

from datetime import date

from tradebot.model.record import SymbolFacts
from tradebot.signals.kinds import earnings
from tradebot.signals.kinds.earnings import UNKNOWN, EarningsFacts


def next_report(facts: SymbolFacts, today: date) -> EarningsFacts | None:
    """Return the first report that isn't before `today` (New York), or None if no such report is known.

    The newest alert names the next report too, without the time of day. It counts if no reply about earnings does.
    """
    known = earnings.KIND.of(facts.known)
    if known is not None and known.next is not None and known.next >= today:
        return known
    named = facts.alerts[-1].next_earnings if facts.alerts else None
    return EarningsFacts(named, UNKNOWN) if named is not None and named >= today else None
