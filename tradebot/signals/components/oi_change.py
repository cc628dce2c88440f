"""The overnight change in open interest."""

from tradebot.signals.kinds import oi_change
from tradebot.signals.scoring import ScoreComponent, Shown, count_of, recent

_CHANGES = recent(oi_change.KIND)


COMPONENT = ScoreComponent(
    name="oi_change",
    family="open_interest",
    reads=(oi_change.KIND,),
    sign="bullish if open interest moved from puts to calls",
    looks_at=_CHANGES,
    shows={"net": Shown("contracts", "date"), "gross": Shown("contracts", "date"), "symbols": Shown("option symbols")},
    formula="net / gross if gross else 0",
    absent="no change in open interest of the last days",
    source=count_of(_CHANGES, "symbols", "contracts"),
    after="the sum over the contracts whose open interest changed most, by the right in their OCC symbols",
    evidence="Fodor, Krieger & Doran 2011: growing call open interest precedes higher returns, put the reverse",
    inferred="that opened calls were bought: open interest doesn't say which side opened it",
)
