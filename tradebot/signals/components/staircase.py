"""Whether the premium in the flow's direction grows step by step."""

from collections.abc import Iterator
from math import fsum

from tradebot.model.inputs import Input
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, options_volume
from tradebot.signals.scoring import USD, Known, ScoreComponent

STEPS = 3


def _steps(known: Known) -> tuple[float, ...]:
    """Return the signed premium of each third of the lookback in USD, oldest first; positive goes with the flow."""
    step, now, direction = known.lookback / STEPS, known.now, known.direction
    premiums: list[list[float]] = [[] for _ in range(STEPS)]
    for alert in known.alerts:
        # The source's clock may be a few seconds ahead of ours.
        ago = min(max((now - alert.at) // step, 0), STEPS - 1)
        premiums[STEPS - 1 - ago].append(direction * alert.net_usd)
    return tuple(map(fsum, premiums))


def _value(known: Known) -> float | None:
    """Return the flow times how much more premium the last third had than the first one, if it rose both times."""
    if len(known.alerts) < STEPS:
        return followed(known, 0.0)
    first, middle, last = _steps(known)
    rising = min(first, middle - first, last - middle) > 0
    return followed(known, (last - first) / (first + middle + last) if rising else 0.0)


def _inputs(known: Known) -> Iterator[Input]:
    for name, premium in zip(("first", "middle", "last"), _steps(known), strict=True):
        yield Input(name, premium, USD)
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="staircase",
    family="options_flow",
    follows="flow",
    reads=(flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if each third of the lookback had more of its premium",
    formula="flow * ((last - first) / (first + middle + last) if min(first, middle - first, last - middle) > 0 else 0)",
    absent="no direction of the flow",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(known.alerts)} alerts",
    after="the bot before this one: three rising steps, here of stored premium instead of its own updates",
    inferred="that rising premium means more than steady premium",
)
