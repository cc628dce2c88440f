"""Patterns of recent alerts: how many came at once, how urgent they were, whether they continue."""

from datetime import datetime, timedelta
from math import fsum
from typing import NamedTuple

from tradebot.signals.scoring import USD, NumberFormat, ScoreComponent, ScoringInputs
from tradebot.signals.subjects.alerts import (
    FLOW_ALERTS_KIND,
    LARGE,
    OPTIONS_VOLUME_KIND,
    FlowShare,
    SessionAlerts,
    sizes,
)

FADING_MINUTES = 45


class Newest(NamedTuple):
    """The newest alert, and how old it is in minutes."""

    age_min: float
    at: datetime
    id: str


def _newest(inputs: ScoringInputs) -> Newest | None:
    if not inputs.alerts:
        return None
    newest = inputs.alerts[-1]
    # The source's clock may be a few seconds ahead of ours.
    return Newest(max(0.0, (inputs.now - newest.at).total_seconds() / 60), newest.at, newest.id)


FRESHNESS_COMPONENT = FlowShare(
    name="freshness",
    sign="in the flow's direction, and smaller the older its newest alert is",
    looks_at=_newest,
    shows={"age_min": NumberFormat("minutes", "at", "id")},
    formula=f"flow * exp(-age_min / {FADING_MINUTES})",
    source=lambda inputs: "newest alert",
    after="tradebot's predecessor, which faded its whole score this way",
    inferred="how fast flow fades",
)
"""How recent the newest alert is."""


BURST_WINDOW = timedelta(minutes=5)
BURST_ALERTS, FULL_BURST_ALERTS = 5, 10


class Burst(NamedTuple):
    """The largest number of alerts in the flow's direction within five minutes."""

    alerts: int


def _burst(inputs: ScoringInputs) -> Burst:
    # Most symbols have too few alerts, whenever they came.
    if not inputs.direction or len(inputs.alerts) < BURST_ALERTS:
        return Burst(0)
    times = sorted([alert.at for alert in inputs.alerts if alert.sign == inputs.direction])
    most = first = 0
    for index, at in enumerate(times):
        while at - times[first] > BURST_WINDOW:
            first += 1
        most = max(most, index - first + 1)
    return Burst(most)


BURST_COMPONENT = FlowShare(
    name="burst",
    sign="in the flow's direction if many of its alerts came at once",
    looks_at=_burst,
    shows={"alerts": NumberFormat("alerts within 5 minutes")},
    formula=f"flow * (min(1, alerts / {FULL_BURST_ALERTS}) if alerts >= {BURST_ALERTS} else 0)",
    after="tradebot's predecessor: five in five minutes; two a minute count in full",
    inferred="that alerts which come at once mean more than others",
)
"""Whether many alerts arrived at once."""


CLUSTER_WINDOW = timedelta(minutes=10)
CLUSTER_ALERTS = 3


class ClusterCounts(NamedTuple):
    """How many alerts are in bullish and in bearish clusters of at least three."""

    bullish: int
    bearish: int


def _find_clusters(inputs: ScoringInputs) -> ClusterCounts | None:
    if inputs.flow is None:
        return None
    if len(inputs.alerts) < CLUSTER_ALERTS:
        return ClusterCounts(0, 0)
    bullish, bearish = (
        sum([size for size in sizes(inputs.alerts, CLUSTER_WINDOW, sign) if size >= CLUSTER_ALERTS]) for sign in (1, -1)
    )
    return ClusterCounts(bullish, bearish)


CLUSTERS_COMPONENT = ScoreComponent(
    name="clusters",
    family="options_flow",
    reads=(FLOW_ALERTS_KIND, OPTIONS_VOLUME_KIND),
    sign="bullish if more alerts in clusters are bullish",
    looks_at=_find_clusters,
    shows={"bullish": NumberFormat("alerts"), "bearish": NumberFormat("alerts")},
    formula="(bullish - bearish) / (bullish + bearish) if bullish + bearish else 0",
    absent="no usable reply about this symbol's alerts",
    after="tradebot's predecessor: three alerts of one direction within ten minutes of the first are a cluster",
    inferred="that alerts of one direction in a short time belong together",
)
"""How many alerts arrived in clusters, and their direction."""


STEPS = 3


class PremiumThirds(NamedTuple):
    """The signed premium of each third of the lookback in USD; positive in the flow's direction."""

    first: float
    middle: float
    last: float


def _steps(inputs: ScoringInputs) -> PremiumThirds:
    step, now, direction = inputs.lookback / STEPS, inputs.now, inputs.direction
    premiums: list[list[float]] = [[] for _ in range(STEPS)]
    for alert in inputs.alerts:
        # The source's clock may be a few seconds ahead of ours.
        ago = min(max((now - alert.at) // step, 0), STEPS - 1)
        premiums[STEPS - 1 - ago].append(direction * alert.net_usd)
    return PremiumThirds(*map(fsum, premiums))


STAIRCASE_COMPONENT = FlowShare(
    name="staircase",
    sign="in the flow's direction if each third of the lookback had more of its premium",
    looks_at=_steps,
    shows={"first": NumberFormat(USD), "middle": NumberFormat(USD), "last": NumberFormat(USD)},
    formula="flow * ((last - first) / (first + middle + last) if min(first, middle - first, last - middle) > 0 else 0)",
    after="tradebot's predecessor: three rising steps, here of stored premium instead of its own updates",
    inferred="that rising premium means more than steady premium",
)
"""Whether the premium in the flow's direction grows step by step."""


class PremiumSplit(NamedTuple):
    """The premium in the flow's direction in USD: that of sweeps and floor trades, and that of all alerts."""

    urgent: float
    total: float


def _premium(inputs: ScoringInputs) -> PremiumSplit:
    direction = inputs.direction
    along = [alert for alert in inputs.alerts if alert.sign == direction]
    urgent = fsum([alert.usd for alert in along if alert.has_sweep or alert.has_floor])
    return PremiumSplit(urgent, fsum([alert.usd for alert in along]))


SWEEP_BLOCK_COMPONENT = FlowShare(
    name="sweep_block",
    sign="in the flow's direction if its premium was swept or traded on a floor",
    looks_at=_premium,
    shows={"urgent": NumberFormat(USD), "total": NumberFormat(USD)},
    formula="flow * urgent / total if total else 0",
    after="tradebot's predecessor, with the source's flags instead of the size of off-exchange prints",
    inferred="what a sweep is: the source flags alerts that have one, without defining it",
)
"""How much of the flow was traded urgently: swept across exchanges, or as a block on a floor."""


WHALE_ALERTS = 3
WHALE_S = 1_800


class Large(NamedTuple):
    """The session's large alerts: the premium in USD of those in the flow's direction (`along`), and of the others.

    `number` is how many are in the flow's direction, and `span_s` the time between the first and the last of these.
    """

    along: float
    against: float
    number: int
    span_s: float


def _large(inputs: ScoringInputs) -> Large | None:
    alerts, direction = inputs.facts.alerts, inputs.direction
    if not direction:
        return None
    session = alerts if isinstance(alerts, SessionAlerts) else FLOW_ALERTS_KIND.condense(alerts)
    large = session.until(inputs.now).large
    along = large[direction]
    return Large(along.usd, large[-direction].usd, along.number, along.span_s)


WHALE_PERSISTENCE_COMPONENT = FlowShare(
    name="whale_persistence",
    sign="in the flow's direction if at least three large alerts over half an hour or more agree with it",
    looks_at=_large,
    shows={
        "along": NumberFormat(USD),
        "against": NumberFormat(USD),
        "number": NumberFormat("alerts"),
        "span_s": NumberFormat("seconds"),
    },
    formula=(
        f"flow * ((max(0, (along - against) / (along + against)) if span_s >= {WHALE_S} else 0)"
        f" if number >= {WHALE_ALERTS} else 0)"
    ),
    source=lambda inputs: f"{len(inputs.facts.alerts)} alerts of this session",
    after="tradebot's predecessor: three strong readings over half an hour, here of stored alerts",
    inferred=f"what a large alert is: {LARGE} times the session's median premium or more",
)
"""Whether large alerts continue in the flow's direction."""
