"""How many signs of a short squeeze there are, in the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.components.shorts import report_of
from tradebot.signals.components.squeeze import THRESHOLD, fails_of, pressure_inputs
from tradebot.signals.kinds import fails_to_deliver, flow_alerts, short_interest
from tradebot.signals.scoring import Known, ScoreComponent

INTEREST, DAYS_TO_COVER, FEE_RATE = 0.2, 7.0, 5.0


def _signs(known: Known) -> int | None:
    """Return how many of the four signs there are, or None unless all of them are known."""
    report, fails = report_of(known), fails_of(known)
    if report is None or report.fee_rate is None or fails is None:
        return None
    return (
        (float(report.interest) >= INTEREST)
        + (float(report.days_to_cover) >= DAYS_TO_COVER)
        + (float(report.fee_rate) >= FEE_RATE)
        + (fails.shares >= THRESHOLD * float(report.float_shares))
    )


def _value(known: Known) -> float | None:
    signs = _signs(known)
    return None if not known.flow or signs is None else known.flow * (signs / 4)


def _inputs(known: Known) -> Iterator[Input]:
    report = report_of(known)
    yield from pressure_inputs(known)
    if report is not None and report.fee_rate is not None:
        yield Input("fee_rate", report.fee_rate, "percent a year", report.date, report.id)


COMPONENT = ScoreComponent(
    name="squeeze_score",
    family="short_interest",
    follows="flow",
    reads=(short_interest.KIND, fails_to_deliver.KIND, flow_alerts.KIND),
    sign="bullish if there are signs of a squeeze and the flow is bullish; bearish if the flow is",
    formula=(
        "flow * ((interest >= 0.2) + (days_to_cover >= 7) + (fee_rate >= 5) + (fails >= 0.005 * float_shares)) / 4"
    ),
    absent="no flow, or one of the four signs isn't known",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{_signs(known) or 0} signs of 4",
    after="our own; undelivered shares as Regulation SHO counts them",
    inferred="what a squeeze is: the source doesn't say",
)
