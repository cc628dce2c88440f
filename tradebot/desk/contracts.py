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


def worst_core_drifts(world: World, reads: Mapping[str, frozenset[str]], now: datetime) -> Mapping[str, Drift]:
    """Return, by strategy, the largest harmful difference in the current replies of the core signals that it reads.

    `reads` are the kinds of facts that each strategy reads. The gates of an entry read the alerts for all of them.
    """
    if not reads:
        return {}
    replies = world.facts.suspicious_replies(now - CURRENT, now)
    harmful = [drift for drift in drifts(replies) if drift.breach.harms and kind_of(drift.kind).core]
    found: dict[str, Drift] = {}
    for strategy, kinds in reads.items():
        concerned = [drift for drift in harmful if drift.kind in kinds | {FLOW_ALERTS}]
        if concerned:
            found[strategy] = max(concerned, key=lambda drift: drift.share)
    return found
