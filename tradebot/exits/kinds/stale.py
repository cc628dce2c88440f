"""Close a position that went nowhere for days."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.exits.kinds.time_exit import too_late
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class Stale(ExitRule):
    """Close a position held for `after_days` (calendar days) whose gain or loss is still below `gain_fraction`."""

    reason = Reason.STALE_POSITION
    column = "stale"
    needs = (Input.CLOCK, Input.QUOTE)
    numbered = False
    after_days: Annotated[int, Field(ge=1, le=365)]
    gain_fraction: Fraction

    def measure(self, held: Held, now: datetime, price: Decimal) -> Measure:
        gain = held.gain(price)
        old = now - held.position.opened_at >= timedelta(days=self.after_days)
        return Measure(old and abs(gain) < self.gain_fraction, gain, self.gain_fraction)

    def contradiction(self, others: Iterable[ExitRule]) -> str | None:
        return too_late("stale's after_days", self.after_days * 86_400, others)


RULES = {"stale": Stale}
