"""Close a position if the contracts behind its entry were closed overnight."""

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.bar import Session
from tradebot.model.limits import Fraction
from tradebot.model.reasons import Reason


class OpenInterestGone(ExitRule):
    """Close a position if less than this share of the contracts behind its entry was still open the next morning.

    On the day of the entry there is nothing to compare yet, so it holds.
    """

    reason = Reason.OPEN_INTEREST_GONE
    column = "interest"
    reads = frozenset({"open_interest_kept"})
    needs = (Input.SESSION, Input.OPEN_INTEREST)
    min_kept_fraction: Fraction

    def measure(self, held: Held, session: Session) -> Measure | Input:
        if held.position.opened_at >= session.open:
            return Measure(False, None, self.min_kept_fraction)
        kept = held.outlook.open_interest_kept
        if kept is None:
            return Input.OPEN_INTEREST
        return Measure(kept < self.min_kept_fraction, kept, self.min_kept_fraction)


RULES = {"open_interest_gone": OpenInterestGone}
