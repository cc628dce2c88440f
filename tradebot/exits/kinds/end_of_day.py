"""Close a position before the night."""

from datetime import timedelta

from tradebot.exits.held import Held
from tradebot.exits.kind import Absent, ExitRule, Input, Measure, Moment
from tradebot.model.limits import Seconds
from tradebot.model.reasons import Reason


class EndOfDay(ExitRule):
    """Close a position this many seconds before the session closes; on a half day, that is earlier."""

    reason = Reason.END_OF_DAY
    column = "day end"
    needs = (Input.CLOCK, Input.SESSION)
    rank = 1
    before_close_s: Seconds

    def judge(self, held: Held, moment: Moment) -> Measure | Absent:
        if moment.now is None:
            return Absent(Input.CLOCK)
        if moment.session is None:
            return Absent(Input.SESSION)
        left = moment.session.close - moment.now
        return Measure(left <= timedelta(seconds=self.before_close_s), left.total_seconds(), self.before_close_s)


RULE = EndOfDay
