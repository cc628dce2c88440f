"""Close a position whose price hardly moves."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.exits.kinds.time_exit import too_late
from tradebot.model.limits import Fraction, Seconds
from tradebot.model.reasons import Reason


class LowMovement(ExitRule):
    """Close a position held for `after_s` if its highest and lowest price since are closer than `movement_fraction`."""

    reason = Reason.LOW_MOVEMENT
    column = "movement"
    reads = frozenset({"movement"})
    needs = (Input.CLOCK, Input.MOVEMENT)
    movement_fraction: Fraction
    after_s: Seconds

    def measure(self, held: Held, now: datetime, movement: Decimal) -> Measure:
        old = (now - held.position.opened_at).total_seconds() >= self.after_s
        return Measure(old and movement < self.movement_fraction, movement, self.movement_fraction)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        return too_late("low_movement's after_s", self.after_s, others)


RULES = {"low_movement": LowMovement}
