"""Close a position before the night."""

from datetime import datetime, timedelta

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.bar import Session
from tradebot.model.limits import Seconds
from tradebot.model.reasons import Reason


class EndOfDay(ExitRule):
    """Close a position this many seconds before the session closes; on a half day, that is earlier."""

    reason = Reason.END_OF_DAY
    column = "day end"
    needs = (Input.CLOCK, Input.SESSION)
    rank = 1
    before_close_s: Seconds

    def measure(self, held: Held, now: datetime, session: Session) -> Measure:
        left = session.close - now
        return Measure(left <= timedelta(seconds=self.before_close_s), left.total_seconds(), self.before_close_s)


RULES = {"end_of_day": EndOfDay}
