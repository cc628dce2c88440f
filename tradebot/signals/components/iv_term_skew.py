"""Whether options expect more volatility soon than later."""

from tradebot.signals.kinds import term_structure
from tradebot.signals.scoring import ScoreComponent, Shown, recent, shown

COMPONENT = ScoreComponent(
    name="iv_term_skew",
    family="volatility_term",
    reads=(term_structure.KIND,),
    sign="bearish if options expect more volatility over 30 days than over 90",
    looks_at=recent(term_structure.KIND),
    shows={**shown("volatility a year", "near", "far", at="date"), "expiries": Shown("expiries", "date")},
    formula="clamp(4 * (far - near) / (far + near), -1, 1)",
    absent="no two expiries around 30 days, or around 90 days, of the last days",
    source=lambda known: "last session",
    after="the slope of Vasquez 2017, over the sum of both volatilities",
    inferred="that the slope says anything about the stock: Vasquez 2017 found that it predicts returns of straddles",
)
