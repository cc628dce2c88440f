"""How many alerts came in clusters, and which way they lean."""

from collections.abc import Iterator
from datetime import timedelta

from tradebot.model.inputs import Input
from tradebot.signals.cluster import sizes
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import Known, ScoreComponent

WINDOW = timedelta(minutes=10)
LEAST_ALERTS = 3
UNIT = "alerts"


def _clustered(known: Known) -> tuple[int, int]:
    """Return how many alerts are in bullish and in bearish clusters of at least three."""
    if len(known.alerts) < LEAST_ALERTS:
        return 0, 0
    bullish, bearish = (
        sum([size for size in sizes(known.alerts, WINDOW, sign) if size >= LEAST_ALERTS]) for sign in (1, -1)
    )
    return bullish, bearish


def _value(known: Known) -> float | None:
    """Return bullish less bearish alerts in clusters, over all alerts in clusters."""
    if known.flow is None:
        return None
    bullish, bearish = _clustered(known)
    return (bullish - bearish) / (bullish + bearish) if bullish + bearish else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    if known.flow is not None:
        bullish, bearish = _clustered(known)
        yield Input("bullish", bullish, UNIT)
        yield Input("bearish", bearish, UNIT)


COMPONENT = ScoreComponent(
    name="clusters",
    family="options_flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="bullish if more alerts in clusters are bullish",
    formula="(bullish - bearish) / (bullish + bearish) if bullish + bearish else 0",
    absent="no usable reply about this symbol's alerts",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(known.alerts)} alerts",
    after="the bot before this one: three alerts of one direction within ten minutes of the first are a cluster",
    inferred="that alerts of one direction in a short time belong together",
)
