"""The net premium of all of a symbol's option trades of the session."""

from tradebot.signals.kinds import net_prem_ticks
from tradebot.signals.scoring import USD, ScoreComponent, Shown, recent, shown

COMPONENT = ScoreComponent(
    name="net_premium",
    family="options_flow",
    reads=(net_prem_ticks.KIND,),
    sign="bullish if more premium bought calls and sold puts",
    looks_at=recent(net_prem_ticks.KIND, "at"),
    shows={**shown(USD, "calls_usd", "puts_usd", "gross_usd", at="at"), "ticks": Shown("minutes", "at")},
    formula="clamp((calls_usd - puts_usd) / gross_usd, -1, 1) if gross_usd else 0",
    absent="no minute of this session known, or the last one is too old",
    source=lambda known: "this session",
    after="the source's net premium, over the sum of its magnitudes",
    evidence="Hu 2014: the order imbalance of a stock's options predicts its return of the next day",
)
