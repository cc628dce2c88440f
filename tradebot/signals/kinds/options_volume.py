"""The premium of all option trades of each session."""

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from tradebot.model.kind import NEW_YORK, DayFact, Kind, Row, documented
from tradebot.signals import rows

SESSIONS = 20
"""How many finished sessions say what is usual for a symbol: about a month."""
_DONE = time(16, 15)


class OptionsVolume(DayFact, frozen=True):
    """The premium in USD of all option trades of one session; `done` if the reply came after the session's trades."""

    call_premium: Decimal
    put_premium: Decimal
    done: bool


class OptionsVolumeFacts(NamedTuple):
    """The median daily premium, in USD, over the last finished `sessions`, at most 20; 0 if there is none."""

    trailing_premium_usd: float
    sessions: int


def _parse(row: Row, symbol: str, at: datetime) -> OptionsVolume:
    day = rows.past_day(row, "date", at)
    calls, puts = (rows.not_negative(row, name) for name in ("call_premium", "put_premium"))
    here = at.astimezone(NEW_YORK)
    done = here.date() > day or here.time() >= _DONE
    return OptionsVolume(day.isoformat(), symbol, day, calls, puts, done)


def _condense(sessions: Sequence[tuple[date, float, bool]]) -> OptionsVolumeFacts:
    """Return the median over the last finished sessions: a single busy day doesn't move it much."""
    last = sorted((day, premium_usd) for day, premium_usd, done in sessions if done)[-SESSIONS:]
    return OptionsVolumeFacts(median(premium_usd for _, premium_usd in last) if last else 0.0, len(last))


KIND = Kind(
    name="options_volume",
    # Alerts are measured against it: without it, flow says nothing.
    core=True,
    unit="USD of premium",
    sign="none: how much premium trades on a usual day",
    absent="no session known",
    fact=OptionsVolume,
    path="/api/stock/{}/options-volume",
    params={"limit": "30"},
    parse=_parse,
    lean=lambda volume: (volume.date, float(volume.call_premium + volume.put_premium), volume.done),
    condense=_condense,
    past_days=45,
    max_age_s=4 * 86_400,
    fields=documented(
        "text date, decimal call_premium put_premium net_call_premium net_put_premium bullish_premium bearish_premium "
        "avg_3_day_call_volume avg_3_day_put_volume avg_7_day_call_volume avg_7_day_put_volume avg_30_day_call_volume "
        "avg_30_day_put_volume, integer call_volume put_volume call_volume_ask_side call_volume_bid_side "
        "put_volume_ask_side put_volume_bid_side call_open_interest put_open_interest"
    ),
)
