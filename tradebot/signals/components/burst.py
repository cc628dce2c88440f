"""Whether many alerts came at once."""

from collections.abc import Iterator
from datetime import timedelta

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import Known, ScoreComponent

WINDOW = timedelta(minutes=5)
LEAST_ALERTS, FULL_ALERTS = 5, 10


def _most(known: Known) -> int:
    """Return the largest number of alerts in the flow's direction within five minutes."""
    direction = known.direction
    times = sorted([alert.at for alert in known.alerts if alert.sign == direction])
    most = first = 0
    for place, at in enumerate(times):
        while at - times[first] > WINDOW:
            first += 1
        most = max(most, place - first + 1)
    return most


def _value(known: Known) -> float | None:
    """Return the flow if ten alerts came at once, less of it if there were fewer, and nothing below five."""
    # Most symbols have too few alerts, however they came.
    most = _most(known) if known.direction and len(known.alerts) >= LEAST_ALERTS else 0
    return followed(known, min(1.0, most / FULL_ALERTS) if most >= LEAST_ALERTS else 0.0)


def _inputs(known: Known) -> Iterator[Input]:
    yield Input("alerts", _most(known) if known.direction else 0, "alerts within 5 minutes")
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="burst",
    family="options_flow",
    follows="flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if many of its alerts came at once",
    formula=f"flow * (min(1, alerts / {FULL_ALERTS}) if alerts >= {LEAST_ALERTS} else 0)",
    absent="no direction of the flow",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(known.alerts)} alerts",
    after="the bot before this one: five in five minutes; two a minute count in full",
    inferred="that alerts which come at once mean more than others",
)
