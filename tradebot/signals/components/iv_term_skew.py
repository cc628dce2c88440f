"""Whether options expect more volatility soon than later."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import term_structure
from tradebot.signals.kinds.term_structure import TermFacts
from tradebot.signals.scoring import Known, ScoreComponent

UNIT = "volatility a year"


def _curve(known: Known) -> TermFacts | None:
    """Return the curve if it is of a recent session."""
    curve = term_structure.KIND.of(known.facts.known)
    return curve if curve and still_counts(term_structure.KIND, curve.date, known.now) else None


def _value(known: Known) -> float | None:
    """Return the slope from 30 to 90 days; it is 1 if the later volatility is five thirds of the earlier one."""
    curve = _curve(known)
    if curve is None or curve.near is None or curve.far is None:
        return None
    return clamp(4 * (curve.far - curve.near) / (curve.far + curve.near), -1.0, 1.0)


def _inputs(known: Known) -> Iterator[Input]:
    curve = _curve(known)
    if curve is None:
        return
    for name, volatility in (("near", curve.near), ("far", curve.far)):
        if volatility is not None:
            yield Input(name, volatility, UNIT, curve.date)
    yield Input("expiries", curve.expiries, "expiries", curve.date)


COMPONENT = ScoreComponent(
    name="iv_term_skew",
    family="volatility_term",
    reads=(term_structure.KIND,),
    sign="bearish if options expect more volatility over 30 days than over 90",
    formula="clamp(4 * (far - near) / (far + near), -1, 1)",
    absent="no two expiries around 30 days, or around 90 days, of the last days",
    value=_value,
    inputs=_inputs,
    source=lambda known: "last session",
    after="the slope of Vasquez 2017, over the sum of both volatilities",
    inferred="that the slope says anything about the stock: Vasquez 2017 found that it predicts returns of straddles",
)
