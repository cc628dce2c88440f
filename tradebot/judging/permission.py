"""Judge whether orders may be sent: the answer is the same for an audit, the doctor, the status and the web."""

from collections.abc import Collection
from datetime import datetime

from tradebot.judging.judgment import Judgment, State
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.trading import Permission


def permission(given: Permission, now: datetime, blocks: Collection[str] | None = None) -> Judgment:
    """Judge the doors at a time by this machine's clock; `blocks` are the broker's own, None if it wasn't asked."""
    blocked = [(Reason.ACCOUNT_BLOCKED, flag) for flag in blocks or ()]
    closed = [*given.closed_to_entries(now), *blocked]
    looked_at, count = ("mode", 1) if blocks is None else ("mode and blocks", 2)
    if not closed:
        return Judgment("permission", State.OK, looked_at, count, "orders may be sent", age_s=0.0)
    only_entries = given.open and not blocked
    effect = "no entries are sent, exits continue" if only_entries else "no orders are sent, including exits"
    found = f"{', '.join(f'{reason} ({found})' for reason, found in closed)}: {effect}"
    remedy = REASONS[closed[0][0]].remedy
    return Judgment("permission", State.DEGRADED, looked_at, count, found, remedy, age_s=0.0)
