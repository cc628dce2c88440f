"""How much more volatility options expect than there was."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import realized_volatility
from tradebot.signals.kinds.realized_volatility import VolatilityFacts
from tradebot.signals.scoring import Known, ScoreComponent

UNIT = "a year"


def _volatility(known: Known) -> VolatilityFacts | None:
    return realized_volatility.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return implied less realized volatility over their sum."""
    volatility = _volatility(known)
    if volatility is None or volatility.implied is None or volatility.realized is None:
        return None
    total = volatility.implied + volatility.realized
    return (volatility.implied - volatility.realized) / total if total else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    volatility = _volatility(known)
    if volatility is not None and volatility.implied is not None:
        yield Input("implied", volatility.implied, UNIT, volatility.day)
    if volatility is not None and volatility.realized is not None:
        yield Input("realized", volatility.realized, UNIT, volatility.measured)


COMPONENT = ScoreComponent(
    name="realized_volatility",
    family="volatility",
    reads=(realized_volatility.KIND,),
    sign="bullish if options expect more volatility than there was",
    formula="(implied - realized) / (implied + realized) if implied + realized else 0",
    absent="one of the two volatilities isn't known",
    value=_value,
    inputs=_inputs,
    source=lambda known: "last month",
    after="the spread of Bali & Hovakimian, divided by the sum of both",
    evidence="Bali & Hovakimian 2009, over months",
)
