"""The net option premium of the whole market."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.signals.kinds import market_tide
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown

FORMULA = "(calls - puts) / (abs(calls) + abs(puts)) if abs(calls) + abs(puts) else 0"


class Tide(NamedTuple):
    """The net premium of calls and of puts since the open, in USD, by the last of the ticks known."""

    calls: Decimal
    puts: Decimal
    ticks_known: int
    at: datetime
    id: str


def tide(ticks: Sequence[TideTick], known: Known) -> Tide | None:
    """Return what the last tick says, or None if it is too old to say anything about now."""
    if not ticks or ticks[-1].at <= known.now - known.lookback:
        return None
    last = ticks[-1]
    return Tide(last.net_call_premium, last.net_put_premium, len(ticks), last.at, last.id)


def _ticks(known: Known) -> Sequence[TideTick]:
    return market_tide.KIND.of(known.market) or ()


COMPONENT = ScoreComponent(
    name="market_tide",
    family="market",
    reads=(market_tide.KIND,),
    sign="bullish if the market's net premium is in calls",
    looks_at=lambda known: tide(_ticks(known), known),
    shows={"calls": Shown(USD, "at", "id"), "puts": Shown(USD, "at", "id"), "ticks_known": Shown("ticks", "at")},
    formula=FORMULA,
    absent="no tick within the lookback",
    source=lambda known: f"{len(_ticks(known))} ticks",
    after="the source's net premium of the session so far, over the sum of its magnitudes",
)
