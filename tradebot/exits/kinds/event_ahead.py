"""Close a position before an event of the company."""

from tradebot.exits.held import Held
from tradebot.exits.kind import Absent, ExitRule, Input, Measure, Moment
from tradebot.model.limits import Seconds
from tradebot.model.reasons import Reason


class EventAhead(ExitRule):
    """Close a position this many seconds before the company's next event, such as its earnings, nights included."""

    reason = Reason.EVENT_AHEAD
    column = "event"
    reads = frozenset({"event_at"})
    needs = (Input.CLOCK, Input.EVENT)
    before_s: Seconds

    def judge(self, held: Held, moment: Moment) -> Measure | Absent:
        if moment.now is None:
            return Absent(Input.CLOCK)
        if held.outlook.event_at is None:
            return Absent(Input.EVENT)
        left_s = (held.outlook.event_at - moment.now).total_seconds()
        return Measure(0 <= left_s <= self.before_s, left_s, self.before_s)


RULE = EventAhead
