"""Whether large alerts keep coming in the flow's direction."""

from bisect import bisect_right
from collections.abc import Iterator
from math import fsum
from operator import attrgetter
from statistics import median
from typing import NamedTuple

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import USD, Known, ScoreComponent

_AT = attrgetter("at")
LARGE = 3
"""How many times the session's median premium a large alert has."""
LEAST_ALERTS = 3
LEAST_S = 1_800


class _Large(NamedTuple):
    """The session's large alerts: their premium in USD with the flow and against it, and how those with it came."""

    along_usd: float
    against_usd: float
    number: int
    span_s: float


def _large(known: Known) -> _Large:
    """Return what the session's large single-leg alerts add up to."""
    now, direction = known.now, known.direction
    alerts = known.facts.alerts
    # The source's clock may be a few seconds ahead of ours.
    if alerts and alerts[-1].at > now:
        alerts = alerts[: bisect_right(alerts, now, key=_AT)]
    alerts = tuple([alert for alert in alerts if not alert.has_multileg])
    if not direction or not alerts:
        return _Large(0.0, 0.0, 0, 0.0)
    least = LARGE * median([alert.usd for alert in alerts])
    large = [alert for alert in alerts if alert.usd >= least]
    along = [alert for alert in large if alert.sign == direction]
    return _Large(
        fsum([alert.usd for alert in along]),
        fsum([alert.usd for alert in large if alert.sign == -direction]),
        len(along),
        (along[-1].at - along[0].at).total_seconds() if along else 0.0,
    )


def _value(known: Known) -> float | None:
    """Return the flow times the net share of large premium that goes with it, if that came at least three times."""
    along, against, number, span_s = _large(known)
    lasting = number >= LEAST_ALERTS and span_s >= LEAST_S
    return followed(known, max(0.0, (along - against) / (along + against)) if lasting else 0.0)


def _inputs(known: Known) -> Iterator[Input]:
    large = _large(known)
    yield Input("along", large.along_usd, USD)
    yield Input("against", large.against_usd, USD)
    yield Input("count", large.number, "alerts")
    yield Input("span_s", large.span_s, "seconds")
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="whale_persistence",
    family="options_flow",
    follows="flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if at least three large alerts over half an hour or more go with it",
    formula=(
        f"flow * ((max(0, (along - against) / (along + against)) if span_s >= {LEAST_S} else 0)"
        f" if count >= {LEAST_ALERTS} else 0)"
    ),
    absent="no direction of the flow",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(known.facts.alerts)} alerts of this session",
    after="the bot before this one: three strong readings over half an hour, here of stored alerts",
    inferred=f"what a large alert is: {LARGE} times the session's median premium or more",
)
