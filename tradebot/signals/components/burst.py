"""Whether many alerts came at once."""

from datetime import timedelta
from typing import NamedTuple

from tradebot.signals.components.flow import FlowShare
from tradebot.signals.scoring import Known, Shown

WINDOW = timedelta(minutes=5)
LEAST_ALERTS, FULL_ALERTS = 5, 10


class Burst(NamedTuple):
    """The largest number of alerts in the flow's direction within five minutes."""

    alerts: int


def _burst(known: Known) -> Burst:
    # Most symbols have too few alerts, however they came.
    if not known.direction or len(known.alerts) < LEAST_ALERTS:
        return Burst(0)
    times = sorted([alert.at for alert in known.alerts if alert.sign == known.direction])
    most = first = 0
    for place, at in enumerate(times):
        while at - times[first] > WINDOW:
            first += 1
        most = max(most, place - first + 1)
    return Burst(most)


COMPONENT = FlowShare(
    name="burst",
    sign="with the flow if many of its alerts came at once",
    looks_at=_burst,
    shows={"alerts": Shown("alerts within 5 minutes")},
    formula=f"flow * (min(1, alerts / {FULL_ALERTS}) if alerts >= {LEAST_ALERTS} else 0)",
    after="the bot before this one: five in five minutes; two a minute count in full",
    inferred="that alerts which come at once mean more than others",
)
