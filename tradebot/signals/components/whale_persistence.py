"""Whether large alerts keep coming in the flow's direction."""

from typing import NamedTuple

from tradebot.signals.components.flow import FlowShare
from tradebot.signals.kinds import flow_alerts
from tradebot.signals.kinds.flow_alerts import LARGE, SessionAlerts
from tradebot.signals.scoring import USD, Known, Shown

LEAST_ALERTS = 3
LEAST_S = 1_800


class Large(NamedTuple):
    """The session's large alerts: the premium in USD with the flow and against it, and how many go with it how long."""

    along: float
    against: float
    number: int
    span_s: float


def _large(known: Known) -> Large | None:
    alerts, direction = known.facts.alerts, known.direction
    if not direction:
        return None
    session = alerts if isinstance(alerts, SessionAlerts) else flow_alerts.KIND.condense(alerts)
    large = session.until(known.now).large
    along = large[direction]
    return Large(along.usd, large[-direction].usd, along.number, along.span_s)


COMPONENT = FlowShare(
    name="whale_persistence",
    sign="with the flow if at least three large alerts over half an hour or more go with it",
    looks_at=_large,
    shows={"along": Shown(USD), "against": Shown(USD), "number": Shown("alerts"), "span_s": Shown("seconds")},
    formula=(
        f"flow * ((max(0, (along - against) / (along + against)) if span_s >= {LEAST_S} else 0)"
        f" if number >= {LEAST_ALERTS} else 0)"
    ),
    source=lambda known: f"{len(known.facts.alerts)} alerts of this session",
    after="the bot before this one: three strong readings over half an hour, here of stored alerts",
    inferred=f"what a large alert is: {LARGE} times the session's median premium or more",
)
