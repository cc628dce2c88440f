"""Find out whether the flow source still sends what it documents, for the signals that entries can't do without."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from tradebot.model.contract import Drift
from tradebot.model.flow import FLOW_ALERTS
from tradebot.ports.world import World
from tradebot.signals.contracts import drifts
from tradebot.signals.kinds import kind_of

CURRENT = timedelta(days=1)
"""How old a reply may be to say what the source sends now."""


def worst_core_drifts(world: World, now: datetime) -> Mapping[str, Drift]:
    """Return, by strategy, the largest harmful difference in the current replies of the core signals that it reads."""
    replies = world.facts.suspicious_replies(now - CURRENT, now)
    harmful = [drift for drift in drifts(replies) if drift.breach.harms and kind_of(drift.kind).core]
    found: dict[str, Drift] = {}
    for strategy in world.strategies if harmful else ():
        reads = strategy.needs.facts and strategy.needs.facts | {FLOW_ALERTS}
        worst = max((drift for drift in harmful if drift.kind in reads), key=lambda drift: drift.share, default=None)
        if worst is not None:
            found[strategy.name] = worst
    return found
