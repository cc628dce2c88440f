"""Close a position before an event of the company."""

from datetime import datetime

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.limits import Seconds
from tradebot.model.reasons import Reason


class EventAhead(ExitRule):
    """Close a position this many seconds before the company's next event, such as its earnings, nights included."""

    reason = Reason.EVENT_AHEAD
    column = "event"
    reads = frozenset({"event_at"})
    needs = (Input.CLOCK, Input.EVENT)
    before_s: Seconds

    def measure(self, held: Held, now: datetime, event_at: datetime) -> Measure:
        left_s = (event_at - now).total_seconds()
        return Measure(0 <= left_s <= self.before_s, left_s, self.before_s)


RULES = {"event_ahead": EventAhead}
