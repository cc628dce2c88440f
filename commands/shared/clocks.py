"""Check that two clocks agree, for verbs that record the date: a wrong date can't be undone."""

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
    """Raise TemporaryError if the venue's clock and a second one disagree."""
    apart = clocks_agree(clock.ahead_s(second), settings.limits)
    if not apart.passed:
        raise disagreement(apart)


def disagreement(apart: "Decision") -> TemporaryError:
    """Return the error that tells a person how far the clocks are apart."""
    ahead_s = float(str(apart.observed))
    which = "ahead of" if ahead_s > 0 else "behind"
    return TemporaryError(
        f"{Reason.CLOCKS_DISAGREE}: the venue's clock is {abs(ahead_s):,.0f} s {which} the second one, "
        f"allowed are {apart.limit} s",
        REASONS[Reason.CLOCKS_DISAGREE].remedy,
    )
