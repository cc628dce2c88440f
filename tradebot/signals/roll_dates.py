"""Say when a contract is left for the next one: by date or by volume, whichever comes first.

All of it is known when a session opens, because only days that are over count, so it is the same for a whole session.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

from tradebot.model.instrument import Rolling
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay

EARLIEST = timedelta(days=30)
"""How long before its date a contract may be left because of volume."""
DAYS_IN_A_ROW = 2
Volumes = Mapping[date, float]
"""The contracts that were traded on each day."""


class RollOut(NamedTuple):
    """From which day on a contract is left, and whether its `volume` is why."""

    on: date
    volume: bool = False


def roll_out_date(rolling: Rolling, own: Volumes, following: Volumes) -> RollOut:
    """Return when a contract is left: after two days in a row on which the next one was traded more, or by date.

    A day on which either has no bar says nothing, and breaks the row.
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
    """Return a column of daily bars by the dates of the venue."""
    if series is None:
        return {}
    days = (venue.date_of(series.start_of(place)) for place in range(len(series)))
    return dict(zip(days, getattr(series, column), strict=True))


def earlier(rolling: Rolling, on: date) -> Rolling:
    """Return a rolling that begins on a day, if that is earlier than its own."""
    return rolling if rolling.on <= on else replace(rolling, on=on)
