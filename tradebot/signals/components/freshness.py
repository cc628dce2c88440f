"""How recent the newest alert is."""

from datetime import datetime
from typing import NamedTuple

from tradebot.signals.components.flow import FlowShare
from tradebot.signals.scoring import Known, Shown

MINUTES = 45


class Newest(NamedTuple):
    """The newest alert, and how old it is in minutes."""

    age_min: float
    at: datetime
    id: str


def _newest(known: Known) -> Newest | None:
    if not known.alerts:
        return None
    newest = known.alerts[-1]
    # The source's clock may be a few seconds ahead of ours.
    return Newest(max(0.0, (known.now - newest.at).total_seconds() / 60), newest.at, newest.id)


COMPONENT = FlowShare(
    name="freshness",
    sign="with the flow, and less so the older its newest alert is",
    looks_at=_newest,
    shows={"age_min": Shown("minutes", "at", "id")},
    formula=f"flow * exp(-age_min / {MINUTES})",
    source=lambda known: "newest alert",
    after="the bot before this one, which faded its whole score this way",
    inferred="how fast flow fades",
)
