"""Compute when to roll out of a contract: by date or by volume, whichever comes first.

All inputs are known when a session opens, because only past days count, so the result is the same for a whole session.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

from tradebot.model.instrument import Rolling
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay

EARLIEST = timedelta(days=30)
"""How long before its date a contract may be rolled because of volume."""
DAYS_IN_A_ROW = 2
Volumes = Mapping[date, float]
"""How many contracts were traded on each day."""


class RollOut(NamedTuple):
    """The day from which a contract is rolled, and whether its `volume` is the reason."""

    on: date
    volume: bool = False


def roll_out_date(rolling: Rolling, own: Volumes, following: Volumes) -> RollOut:
    """Return when to roll out of a contract: after the next one had more volume on two days in a row, or by date.

    A day on which either contract has no bar interrupts the two days in a row.
    """
    run = 0
    for day in sorted({*own, *following}):
        if day < rolling.on - EARLIEST:
            continue
        if day >= rolling.on:
            break
        run = run + 1 if day in own and following.get(day, 0) > own[day] else 0
        if run == DAYS_IN_A_ROW:
            return RollOut(min(day + timedelta(days=1), rolling.on), volume=day + timedelta(days=1) < rolling.on)
    return RollOut(rolling.on)


def by_day(series: Series | None, column: str, venue: VenueDay) -> Mapping[date, float]:
    """Return a column of daily bars, such as the volume, by the venue's dates."""
    if series is None:
        return {}
    days = (venue.date_of(series.start_of(index)) for index in range(len(series)))
    return dict(zip(days, getattr(series, column), strict=True))


def earlier(rolling: Rolling, on: date) -> Rolling:
    """Return the rolling, starting on the date `on` if that is earlier than its present start."""
    return rolling if rolling.on <= on else replace(rolling, on=on)
