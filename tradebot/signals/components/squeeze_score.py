"""How many signs of a short squeeze there are, in the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.components.shorts import shorts_of
from tradebot.signals.components.squeeze import THRESHOLD, fails_of, pressure_inputs
from tradebot.signals.following import followed
from tradebot.signals.kinds import fails_to_deliver, flow_alerts, options_volume, short_interest
from tradebot.signals.scoring import Known, ScoreComponent

INTEREST, DAYS_TO_COVER, FEE_RATE = 0.2, 7.0, 5.0


def _signs(known: Known) -> int | None:
    """Return how many of the four signs there are, or None unless all of them are known."""
    shorts, fails = shorts_of(known), fails_of(known)
    if shorts is None or shorts.fee_rate is None or fails is None:
        return None
    return (
        (shorts.interest >= INTEREST)
        + (shorts.days_to_cover >= DAYS_TO_COVER)
        + (shorts.fee_rate >= FEE_RATE)
        + (fails.shares >= THRESHOLD * shorts.float_shares)
    )


def _value(known: Known) -> float | None:
    signs = _signs(known)
    return None if signs is None else followed(known, signs / 4)


def _inputs(known: Known) -> Iterator[Input]:
    shorts = shorts_of(known)
    yield from pressure_inputs(known)
    report = shorts.report if shorts else None
    if report is not None and report.fee_rate is not None:
        yield Input("fee_rate", report.fee_rate, "percent a year", report.date, report.id)


COMPONENT = ScoreComponent(
    name="squeeze_score",
    family="short_interest",
    follows="flow",
    reads=(short_interest.KIND, fails_to_deliver.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="bullish if there are signs of a squeeze and the flow is bullish; bearish if the flow is",
    formula=(
        "flow * ((interest >= 0.2) + (days_to_cover >= 7) + (fee_rate >= 5) + (fails >= 0.005 * float_shares)) / 4"
    ),
    absent="no flow, or one of the four signs isn't known",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{_signs(known) or 0} signs of 4",
    after="tradebot: a count of signs; for undelivered shares the threshold of Regulation SHO",
    inferred="what a squeeze is: the source doesn't say",
)
