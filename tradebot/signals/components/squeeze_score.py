"""How many signs of a short squeeze there are, in the direction of the flow."""

from tradebot.model.values import replace
from tradebot.signals.components import squeeze
from tradebot.signals.components.squeeze import PRESSURE, THRESHOLD, pressure
from tradebot.signals.formula import compiled, names
from tradebot.signals.scoring import Known, Shown

SIGNS = f"(interest >= 0.2) + (days_to_cover >= 7) + (fee_rate >= 5) + (fails >= {THRESHOLD} * float_shares)"


def _source(known: Known) -> str:
    numbers = [getattr(pressure(known), name) for name in names(SIGNS)]
    signs = 0.0 if None in numbers else compiled(SIGNS, names(SIGNS))(*numbers)
    return f"{signs:.0f} signs of 4"


COMPONENT = replace(
    squeeze.COMPONENT,
    name="squeeze_score",
    sign="bullish if there are signs of a squeeze and the flow is bullish; bearish if the flow is",
    shows={**PRESSURE, "fee_rate": Shown("percent a year", "report.date", "report.id")},
    formula=f"flow * ({SIGNS}) / 4",
    absent="no flow, or one of the four signs isn't known",
    source=_source,
    after="tradebot: a count of signs; for undelivered shares the threshold of Regulation SHO",
    inferred="what a squeeze is: the source doesn't say",
)
