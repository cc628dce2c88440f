"""What recorded passes say about the flow quota, and about equity over a session."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.record import CycleRecord
from tradebot.views.plots import thinned

PLOTTED = 60


class FlowQuota(Struct, frozen=True):
    """The flow source's last report of our calls; None for whatever it didn't report."""

    at: datetime
    used_today: int | None
    daily_limit: int | None
    left_today: int | None


class Equity(Struct, frozen=True):
    """The account's equity in USD over the passes of the last session; `plot` holds at most sixty of them."""

    session: date
    passes: int
    first_usd: Decimal
    last_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    plot: tuple[Decimal, ...]


def quota(passes: Sequence[CycleRecord]) -> FlowQuota | None:
    """Return the quota that the source reported to the newest pass of fetch-flow."""
    for cycle in reversed(passes):
        reported = cycle.quota
        if reported is not None and reported.used_today is not None:
            left = None if reported.daily_limit is None else max(reported.daily_limit - reported.used_today, 0)
            return FlowQuota(cycle.at, reported.used_today, reported.daily_limit, left)
    return None


def equity(passes: Sequence[CycleRecord]) -> Equity | None:
    """Return the equity of the newest session in which a pass saw the account."""
    seen = [cycle for cycle in passes if cycle.equity is not None]
    values = [cycle.equity for cycle in seen if cycle.session == seen[-1].session and cycle.equity is not None]
    if not values:
        return None
    plot = thinned(values, PLOTTED)
    return Equity(seen[-1].session, len(values), values[0], values[-1], min(values), max(values), plot)
