"""How much of the flow was traded urgently: swept across exchanges, or as a block on a floor."""

from collections.abc import Iterator
from math import fsum

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _premiums(known: Known) -> tuple[float, float]:
    """Return the premium of sweeps and floor trades in the flow's direction, and of all alerts in it, in USD."""
    direction = known.direction
    along = [alert for alert in known.alerts if alert.sign == direction]
    urgent = fsum([alert.usd for alert in along if alert.has_sweep or alert.has_floor])
    return urgent, fsum([alert.usd for alert in along])


def _value(known: Known) -> float | None:
    """Return the flow times the share of its premium that was traded urgently."""
    urgent, total = _premiums(known)
    return followed(known, urgent / total if total else 0.0)


def _inputs(known: Known) -> Iterator[Input]:
    urgent, total = _premiums(known)
    yield Input("urgent", urgent, USD)
    yield Input("total", total, USD)
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="sweep_block",
    family="options_flow",
    follows="flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if its premium was swept or traded on a floor",
    formula="flow * urgent / total if total else 0",
    absent="no direction of the flow",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(known.alerts)} alerts",
    after="the bot before this one, with the source's flags instead of the size of off-exchange prints",
    inferred="what a sweep is: the source flags alerts that have one, without defining it",
)
