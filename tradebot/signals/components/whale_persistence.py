"""Whether large alerts keep coming in the flow's direction."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.kinds.flow_alerts import LARGE, LargeAlerts, SessionAlerts
from tradebot.signals.scoring import USD, Known, ScoreComponent

LEAST_ALERTS = 3
LEAST_S = 1_800


def _large(known: Known) -> tuple[LargeAlerts, LargeAlerts]:
    """Return the session's large alerts that go with the flow, and those that go against it."""
    alerts, direction = known.facts.alerts, known.direction
    if not direction:
        return LargeAlerts(), LargeAlerts()
    session = alerts if isinstance(alerts, SessionAlerts) else flow_alerts.KIND.condense(alerts)
    large = session.until(known.now).large
    return large[direction], large[-direction]


def _value(known: Known) -> float | None:
    """Return the flow times the net share of large premium that goes with it, if that came at least three times."""
    along, against = _large(known)
    lasting = along.number >= LEAST_ALERTS and along.span_s >= LEAST_S
    share = max(0.0, (along.usd - against.usd) / (along.usd + against.usd)) if lasting else 0.0
    return followed(known, share)


def _inputs(known: Known) -> Iterator[Input]:
    along, against = _large(known)
    yield Input("along", along.usd, USD)
    yield Input("against", against.usd, USD)
    yield Input("count", along.number, "alerts")
    yield Input("span_s", along.span_s, "seconds")
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
