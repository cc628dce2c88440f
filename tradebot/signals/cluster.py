"""Group alerts in the same direction that are close together in time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from tradebot.model.flow import Direction, FlowAlert

_IN_TIME = attrgetter("at", "id")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Alerts of one symbol and direction within a window that starts at the first one."""

    direction: Direction
    alerts: tuple[FlowAlert, ...]

    @property
    def start(self) -> datetime:
        """Return the time of the first alert."""
        return self.alerts[0].at


def clusters(alerts: Iterable[FlowAlert], window: timedelta) -> list[Cluster]:
    """Return the clusters ordered by start; each alert that has a direction is in exactly one."""
    open_groups: dict[int, list[FlowAlert]] = {}
    until: dict[int, datetime] = {}
    done: list[list[FlowAlert]] = []
    for alert in sorted(alerts, key=_IN_TIME):
        sign = alert.sign
        if not sign:
            continue
        at = alert.at
        if sign not in open_groups or at > until[sign]:
            open_groups[sign] = []
            until[sign] = at + window
            done.append(open_groups[sign])
        open_groups[sign].append(alert)
    return [Cluster(group[0].direction, tuple(group)) for group in done]


def sizes(alerts: Iterable[FlowAlert], window: timedelta, sign: int) -> list[int]:
    """Return how many alerts each cluster of one direction (+1 bullish, -1 bearish) has, the first cluster first."""
    found, until = list[int](), None
    for at in sorted([alert.at for alert in alerts if alert.sign == sign]):
        if until is None or at > until:
            until = at + window
            found.append(1)
        else:
            found[-1] += 1
    return found
