"""How recent the newest alert is."""

from collections.abc import Iterator
from datetime import datetime
from math import exp

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import Known, ScoreComponent

MINUTES = 45


def _newest(known: Known) -> tuple[datetime, str] | None:
    return max(((alert.at, alert.id) for alert in known.alerts), default=None)


def _age_min(known: Known, newest: datetime) -> float:
    # The source's clock may be a few seconds ahead of ours.
    return max(0.0, (known.now - newest).total_seconds() / 60)


def _value(known: Known) -> float | None:
    """Return the flow, faded by the age of its newest alert: to 37% after three quarters of an hour."""
    newest = known.alerts[-1].at if known.alerts else None
    return followed(known, exp(-_age_min(known, newest) / MINUTES)) if newest else None


def _inputs(known: Known) -> Iterator[Input]:
    newest = _newest(known)
    if newest is not None:
        yield Input("age_min", _age_min(known, newest[0]), "minutes", *newest)
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="freshness",
    family="options_flow",
    follows="flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="with the flow, and less so the older its newest alert is",
    formula=f"flow * exp(-age_min / {MINUTES})",
    absent="no direction of the flow",
    value=_value,
    inputs=_inputs,
    source=lambda known: "newest alert",
    after="the bot before this one, which faded its whole score this way",
    inferred="how fast flow fades",
)
