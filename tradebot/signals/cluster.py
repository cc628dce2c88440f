"""Group alerts in the same direction that are close together in time."""

from collections.abc import Iterable
from datetime import timedelta

from tradebot.model.flow import FlowAlert


def sizes(alerts: Iterable[FlowAlert], window: timedelta, sign: int) -> list[int]:
    """Return how many alerts each cluster of one direction (+1 bullish, -1 bearish) has, the first cluster first.

    A cluster is of alerts of one symbol and direction, within a window that starts at the first one.
    """
    found: list[int] = []
    until = None
    for at in sorted([alert.at for alert in alerts if alert.sign == sign]):
        if until is None or at > until:
            until = at + window
            found.append(1)
        else:
            found[-1] += 1
    return found
