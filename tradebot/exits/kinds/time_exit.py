"""Close a position that was held long enough."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from tradebot.exits.kind import ExitRule, Held, Measure, Stop, TimeRule
from tradebot.model.limits import Seconds
from tradebot.model.reasons import Reason


class TimeExit(TimeRule):
    """Close a position this many seconds of trading time after it was opened, nights included."""

    reason = Reason.TIME_EXIT
    column = "time"
    after_s: Seconds

    def measure(self, held: Held, now: datetime) -> Measure:
        age = (now - held.position.opened_at).total_seconds()
        return Measure(age >= self.after_s, age, self.after_s)

    def level(self, held: Held) -> Stop:
        return Stop(self.reason, None, held.position.opened_at + timedelta(seconds=self.after_s))


def too_late(setting: str, age_s: int, others: Iterable[ExitRule]) -> str | None:
    """Return why a rule that acts from an age on could never act in a list: no position gets that old."""
    longest = min((rule.after_s for rule in others if isinstance(rule, TimeExit)), default=None)
    if longest is None or age_s < longest:
        return None
    return (
        f"{setting} of {age_s} s is not shorter than time_exit's after_s {longest}: no position gets that old, so it "
        "could never act"
    )


RULES = {"time_exit": TimeExit}
