"""Whether puts are dearer than usual, compared with calls."""

from tradebot.signals.kinds import risk_reversal
from tradebot.signals.kinds.risk_reversal import SkewFacts
from tradebot.signals.scoring import Known, ScoreComponent, Shown, recent, shown

LEAST_SESSIONS = 5
_RECENT = recent(risk_reversal.KIND)


def _skew(known: Known) -> SkewFacts | None:
    """Return a recent session's skew, and what was usual before it if enough sessions say so."""
    skew: SkewFacts | None = _RECENT(known)
    return skew._replace(usual=None, spread=None) if skew and skew.sessions < LEAST_SESSIONS else skew


COMPONENT = ScoreComponent(
    name="smile_slope",
    family="skew",
    reads=(risk_reversal.KIND,),
    sign="bearish if puts are dearer than usual compared with calls",
    looks_at=_skew,
    shows={
        "skew": Shown("volatility", "date"),
        **shown("volatility", "usual", "spread"),
        "sessions": Shown("earlier sessions"),
    },
    formula="-clamp((skew - usual) / (2 * spread), -1, 1) if spread else 0",
    absent=f"no skew of the last days, or fewer than {LEAST_SESSIONS} sessions before it",
    source=lambda known: "last session",
    after="the skew of Xing, Zhang & Zhao 2010, compared with the stock's own past instead of with other stocks",
    evidence="Xing, Zhang & Zhao 2010: stocks with the steepest smirk underperform for months",
    inferred="the scale, and that a stock's own past says what is steep",
)
