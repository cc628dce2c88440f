"""Whether the premium in the flow's direction grows step by step."""

from math import fsum
from typing import NamedTuple

from tradebot.signals.components.flow import FlowShare
from tradebot.signals.scoring import USD, Known, Shown

STEPS = 3


class Steps(NamedTuple):
    """The signed premium of each third of the lookback in USD; positive goes with the flow."""

    first: float
    middle: float
    last: float


def _steps(known: Known) -> Steps:
    step, now, direction = known.lookback / STEPS, known.now, known.direction
    premiums: list[list[float]] = [[] for _ in range(STEPS)]
    for alert in known.alerts:
        # The source's clock may be a few seconds ahead of ours.
        ago = min(max((now - alert.at) // step, 0), STEPS - 1)
        premiums[STEPS - 1 - ago].append(direction * alert.net_usd)
    return Steps(*map(fsum, premiums))


COMPONENT = FlowShare(
    name="staircase",
    sign="with the flow if each third of the lookback had more of its premium",
    looks_at=_steps,
    shows={"first": Shown(USD), "middle": Shown(USD), "last": Shown(USD)},
    formula="flow * ((last - first) / (first + middle + last) if min(first, middle - first, last - middle) > 0 else 0)",
    after="the bot before this one: three rising steps, here of stored premium instead of its own updates",
    inferred="that rising premium means more than steady premium",
)
