"""Check that two clocks agree, for verbs that record a date: a wrong date can't be undone."""

from typing import TYPE_CHECKING

from tradebot.errors import TemporaryError
from tradebot.gates.common import clocks_agree
from tradebot.model.reasons import REASONS, Reason

if TYPE_CHECKING:
    from datetime import datetime

    from tradebot.app.settings import Settings
    from tradebot.model.bar import VenueClock
    from tradebot.model.decision import Decision


def require(clock: "VenueClock", second: "datetime | None", settings: "Settings") -> None:
    """Raise TemporaryError if the broker's clock and a second one disagree."""
    agreement = clocks_agree(clock.ahead_s(second), settings.limits)
    if not agreement.passed:
        raise disagreement(agreement)


def disagreement(decision: "Decision") -> TemporaryError:
    """Return the error that says how far the clocks are apart."""
    ahead_s = float(str(decision.observed))
    which = "ahead of" if ahead_s > 0 else "behind"
    return TemporaryError(
        f"{Reason.CLOCKS_DISAGREE}: the broker's clock is {abs(ahead_s):,.0f} s {which} the second one; "
        f"at most {decision.limit} s is allowed",
        REASONS[Reason.CLOCKS_DISAGREE].remedy,
    )
