"""Whether puts are dearer than usual, compared with calls."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import risk_reversal
from tradebot.signals.kinds.risk_reversal import SkewFacts
from tradebot.signals.scoring import Known, ScoreComponent

LEAST_SESSIONS = 5
UNIT = "volatility"


def _skew(known: Known) -> SkewFacts | None:
    """Return the skew if it is of a recent session."""
    skew = risk_reversal.KIND.of(known.facts.known)
    return skew if skew and still_counts(risk_reversal.KIND, skew.date, known.now) else None


def _value(known: Known) -> float | None:
    """Return how far the skew is below what was usual for the same expiry, in units of twice its usual distance."""
    skew = _skew(known)
    if skew is None or skew.usual is None or skew.spread is None or skew.sessions < LEAST_SESSIONS:
        return None
    return -clamp((skew.skew - skew.usual) / (2 * skew.spread), -1.0, 1.0) if skew.spread else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    skew = _skew(known)
    if skew is None:
        return
    yield Input("skew", skew.skew, UNIT, skew.date)
    if skew.usual is not None and skew.spread is not None:
        yield Input("usual", skew.usual, UNIT)
        yield Input("spread", skew.spread, UNIT)
    yield Input("earlier_sessions", skew.sessions, "sessions")


COMPONENT = ScoreComponent(
    name="smile_slope",
    family="skew",
    reads=(risk_reversal.KIND,),
    sign="bearish if puts are dearer than usual compared with calls",
    formula="-clamp((skew - usual) / (2 * spread), -1, 1) if spread else 0",
    absent=f"no skew of the last days, or fewer than {LEAST_SESSIONS} sessions before it",
    value=_value,
    inputs=_inputs,
    source=lambda known: "last session",
    after="the skew of Xing, Zhang & Zhao 2010, compared with the stock's own past instead of with other stocks",
    evidence="Xing, Zhang & Zhao 2010: stocks with the steepest smirk underperform for months",
    inferred="the scale, and that a stock's own past says what is steep",
)
