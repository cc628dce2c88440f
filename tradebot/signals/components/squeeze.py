"""Pressure on short sellers, in the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.components.shorts import crowding, report_inputs, shorts_of
from tradebot.signals.following import flow_input, followed
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import fails_to_deliver, flow_alerts, options_volume, short_interest
from tradebot.signals.kinds.fails_to_deliver import FailsFacts
from tradebot.signals.scoring import Known, ScoreComponent

THRESHOLD = 0.005
"""The share of a stock at which undelivered shares put it on Regulation SHO's threshold list."""


def fails_of(known: Known) -> FailsFacts | None:
    """Return the balance of undelivered shares."""
    return fails_to_deliver.KIND.of(known.facts.known)


def pressure_inputs(known: Known) -> Iterator[Input]:
    """Yield the flow, and all that is known of short sellers, as inputs of a formula."""
    shorts, fails = shorts_of(known), fails_of(known)
    yield from flow_input(known)
    yield from report_inputs(known)
    if shorts is not None:
        report = shorts.report
        yield Input("float_shares", report.float_shares, "shares", report.date, report.id)
    if fails is not None:
        yield Input("fails", fails.shares, "shares", fails.date)


def _value(known: Known) -> float | None:
    """Return the flow times the mean of three pressures, each from 0 to 1."""
    shorts, fails = shorts_of(known), fails_of(known)
    if shorts is None or fails is None:
        return None
    undelivered = clamp(fails.shares / (THRESHOLD * shorts.float_shares), 0.0, 1.0)
    return followed(known, (crowding(shorts) + undelivered) / 3)


COMPONENT = ScoreComponent(
    name="squeeze",
    family="short_interest",
    follows="flow",
    reads=(short_interest.KIND, fails_to_deliver.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="bullish if short sellers are under pressure and the flow is bullish; bearish if the flow is",
    formula=(
        "flow * (clamp((interest - 0.15) / 0.25, 0, 1) + clamp((days_to_cover - 5) / 10, 0, 1)"
        " + clamp(fails / (0.005 * float_shares), 0, 1)) / 3"
    ),
    absent="no flow, no report of short interest, or no balance of undelivered shares",
    value=_value,
    inputs=pressure_inputs,
    source=lambda known: "last report",
    after="the thresholds of the bot before this one, and for undelivered shares those of Regulation SHO",
    inferred="that crowded short positions add to the flow in both directions: buying upward, thin trading downward",
)
