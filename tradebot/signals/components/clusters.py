"""How many alerts came in clusters, and which way they lean."""

from datetime import timedelta
from typing import NamedTuple

from tradebot.signals.alerts import sizes
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import Known, ScoreComponent, Shown

WINDOW = timedelta(minutes=10)
LEAST_ALERTS = 3


class Clustered(NamedTuple):
    """How many alerts are in bullish and in bearish clusters of at least three."""

    bullish: int
    bearish: int


def _clustered(known: Known) -> Clustered | None:
    if known.flow is None:
        return None
    if len(known.alerts) < LEAST_ALERTS:
        return Clustered(0, 0)
    bullish, bearish = (
        sum([size for size in sizes(known.alerts, WINDOW, sign) if size >= LEAST_ALERTS]) for sign in (1, -1)
    )
    return Clustered(bullish, bearish)


COMPONENT = ScoreComponent(
    name="clusters",
    family="options_flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="bullish if more alerts in clusters are bullish",
    looks_at=_clustered,
    shows={"bullish": Shown("alerts"), "bearish": Shown("alerts")},
    formula="(bullish - bearish) / (bullish + bearish) if bullish + bearish else 0",
    absent="no usable reply about this symbol's alerts",
    after="the bot before this one: three alerts of one direction within ten minutes of the first are a cluster",
    inferred="that alerts of one direction in a short time belong together",
)
