"""How much of the flow was traded urgently: swept across exchanges, or as a block on a floor."""

from math import fsum
from typing import NamedTuple

from tradebot.signals.components.flow import FlowShare
from tradebot.signals.scoring import USD, Known, Shown


class Premium(NamedTuple):
    """The premium of sweeps and floor trades in the flow's direction, and of all alerts in it, in USD."""

    urgent: float
    total: float


def _premium(known: Known) -> Premium:
    direction = known.direction
    along = [alert for alert in known.alerts if alert.sign == direction]
    urgent = fsum([alert.usd for alert in along if alert.has_sweep or alert.has_floor])
    return Premium(urgent, fsum([alert.usd for alert in along]))


COMPONENT = FlowShare(
    name="sweep_block",
    sign="with the flow if its premium was swept or traded on a floor",
    looks_at=_premium,
    shows={"urgent": Shown(USD), "total": Shown(USD)},
    formula="flow * urgent / total if total else 0",
    after="the bot before this one, with the source's flags instead of the size of off-exchange prints",
    inferred="what a sweep is: the source flags alerts that have one, without defining it",
)
