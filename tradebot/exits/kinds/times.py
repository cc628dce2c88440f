"""Rules that close a position because of its age or the time: before the night, before an event, or if the price hardly
moves.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.exits.exit_rule import ExitRule, Measure, RuleInput, StopLevel, TimeRule, WatchedPosition
from tradebot.model.bar import Session
from tradebot.model.limits import Fraction, Seconds
from tradebot.model.reasons import Reason


class TimeExit(TimeRule):
    """Close a position this many seconds after it was opened, by the venue's clock; nights and weekends count."""

    reason = Reason.TIME_EXIT
    column = "time"
    after_s: Seconds

    def measure(self, watched: WatchedPosition, now: datetime) -> Measure:
        age = (now - watched.position.opened_at).total_seconds()
        return Measure(age >= self.after_s, age, self.after_s)

    def level(self, watched: WatchedPosition) -> StopLevel:
        return StopLevel(self.reason, None, watched.position.opened_at + timedelta(seconds=self.after_s))


def too_late(setting: str, age_s: int, others: Iterable[ExitRule]) -> str | None:
    """Return why a rule that acts only from an age on could never act alongside these other rules; None if it can.

    It could never act if a time exit closes every position by that age.
    """
    longest = min((rule.after_s for rule in others if isinstance(rule, TimeExit)), default=None)
    if longest is None or age_s < longest:
        return None
    return (
        f"{setting} of {age_s} s is not shorter than time_exit's after_s {longest}: no position gets that old, so it "
        "could never act"
    )


class EndOfDay(ExitRule):
    """Close a position this many seconds before the session closes; on a half day, that is earlier."""

    reason = Reason.END_OF_DAY
    column = "day end"
    needs = (RuleInput.CLOCK, RuleInput.SESSION)
    rank = 1
    before_close_s: Seconds

    def measure(self, watched: WatchedPosition, now: datetime, session: Session) -> Measure:
        remaining = session.close - now
        return Measure(
            remaining <= timedelta(seconds=self.before_close_s), remaining.total_seconds(), self.before_close_s
        )


class EventAhead(ExitRule):
    """Close a position this many seconds before the company's next event, such as its earnings; nights count."""

    reason = Reason.EVENT_AHEAD
    column = "event"
    reads = frozenset({"event_at"})
    needs = (RuleInput.CLOCK, RuleInput.EVENT)
    before_s: Seconds

    def measure(self, watched: WatchedPosition, now: datetime, event_at: datetime) -> Measure:
        left_s = (event_at - now).total_seconds()
        return Measure(0 <= left_s <= self.before_s, left_s, self.before_s)


class Stale(ExitRule):
    """Close a position whose gain or loss is below `gain_fraction` once it is `after_days` calendar days old."""

    reason = Reason.STALE_POSITION
    column = "stale"
    needs = (RuleInput.CLOCK, RuleInput.QUOTE)
    numbered = False
    after_days: Annotated[int, Field(ge=1, le=365)]
    gain_fraction: Fraction

    def measure(self, watched: WatchedPosition, now: datetime, price: Decimal) -> Measure:
        gain = watched.gain(price)
        old = now - watched.position.opened_at >= timedelta(days=self.after_days)
        return Measure(old and abs(gain) < self.gain_fraction, gain, self.gain_fraction)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        return too_late("stale's after_days", self.after_days * 86_400, others)


class LowMovement(ExitRule):
    """Close a position once it is `after_s` old, if its price has moved less than `movement_fraction`.

    The movement is the distance between the best and the worst price since the entry, as a fraction of the entry price.
    """

    reason = Reason.LOW_MOVEMENT
    column = "movement"
    reads = frozenset({"movement"})
    needs = (RuleInput.CLOCK, RuleInput.MOVEMENT)
    movement_fraction: Fraction
    after_s: Seconds

    def measure(self, watched: WatchedPosition, now: datetime, movement: Decimal) -> Measure:
        old = (now - watched.position.opened_at).total_seconds() >= self.after_s
        return Measure(old and movement < self.movement_fraction, movement, self.movement_fraction)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        return too_late("low_movement's after_s", self.after_s, others)


RULES = {
    "end_of_day": EndOfDay,
    "event_ahead": EventAhead,
    "low_movement": LowMovement,
    "stale": Stale,
    "time_exit": TimeExit,
}
