"""Money that flows into a fund."""

from tradebot.signals.kinds import etf_flow
from tradebot.signals.scoring import USD, ScoreComponent, Shown, count_of, latest

_FLOW = latest(etf_flow.KIND)

COMPONENT = ScoreComponent(
    name="etf_flow",
    family="fund_flow",
    reads=(etf_flow.KIND,),
    sign="bearish if more money than usual flowed in, bullish if it flowed out",
    looks_at=_FLOW,
    shows={"change_usd": Shown(USD, "date", "date"), "scale_usd": Shown(USD), "days": Shown("earlier days")},
    formula="-clamp(change_usd / (2 * scale_usd), -1, 1)",
    absent="the symbol is no fund, or no flow is known to measure against",
    source=count_of(_FLOW, "days", "earlier days"),
    after="tradebot: the last flow, measured against the mean magnitude of two months",
    evidence="Brown, Davies & Ringgenberg 2021: funds with inflows return less, over a month",
)
