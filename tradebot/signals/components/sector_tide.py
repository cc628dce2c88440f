"""The net option premium of the symbol's sector."""

from tradebot.signals.components.market_tide import FORMULA, Tide, tide
from tradebot.signals.kinds import sector_tide
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown
from tradebot.signals.sectors import SOURCE_SECTORS


def _tide(known: Known) -> Tide | None:
    ticks = sector_tide.KIND.of(known.market)
    tick: TideTick | None = ticks.get(SOURCE_SECTORS.get(known.sector)) if isinstance(ticks, dict) else None
    return tide([tick], known) if tick else None


COMPONENT = ScoreComponent(
    name="sector_tide",
    family="market",
    reads=(sector_tide.KIND,),
    sign="bullish if the sector's net premium is in calls",
    looks_at=_tide,
    shows={"calls": Shown(USD, "at", "id"), "puts": Shown(USD, "at", "id")},
    formula=FORMULA,
    absent="no tick within the lookback, or no sector that the source knows",
    source=lambda known: SOURCE_SECTORS.get(known.sector) or "no sector",
    after="as for the whole market: the net premium of the session so far, over the sum of its magnitudes",
)
