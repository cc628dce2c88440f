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
    open_groups: dict[Direction, list[FlowAlert]] = {}
    done: list[list[FlowAlert]] = []
    for alert in sorted(alerts, key=_IN_TIME):
        direction = alert.direction
        if direction is Direction.NEUTRAL:
            continue
        group = open_groups.get(direction)
        if group is None or alert.at - group[0].at > window:
            group = open_groups[direction] = []
            done.append(group)
        group.append(alert)
    return [Cluster(group[0].direction, tuple(group)) for group in done]


def largest(groups: Iterable[Cluster], direction: Direction) -> int:
    """Return the size of the largest cluster in a direction, or zero if there is none."""
    return max((len(cluster.alerts) for cluster in groups if cluster.direction is direction), default=0)
