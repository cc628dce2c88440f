"""The passes of a session that can't be decided again, because they didn't end or weren't kept."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job
from tradebot.ports.stores import Facts

DECIDING = frozenset({Job.TRADE_ONCE, Job.EVALUATE_EXITS})
"""The jobs whose passes decide about orders."""
UNENDED = frozenset(
    {Reason.CUT_SHORT, Reason.GAVE_WAY, Reason.PASS_FAILED, Reason.VENUE_UNREACHABLE, Reason.KEYS_REFUSED}
)
"""How a pass is recorded that began and hasn't ended. Any other refusal is that of a pass which never began."""
REACH = timedelta(days=1)


class NotKept(Struct, frozen=True):
    """A pass that can't be replayed because it wasn't recorded, and why, in words."""

    id: str
    at: datetime
    why: str


def not_kept(facts: Facts | None, sessions: Collection[date], kept: Collection[str]) -> Sequence[NotKept]:
    """Return the passes of these sessions that began and have no record, oldest first."""
    return tuple(_found(facts, sessions, kept)) if facts is not None and sessions else ()


def _found(facts: Facts, sessions: Collection[date], kept: Collection[str]) -> Iterator[NotKept]:
    since = datetime.combine(min(sessions) - REACH, datetime.min.time(), tzinfo=UTC)
    for one in facts.passes(since):
        why = _why(one.job_decision)
        if why and one.job in DECIDING and one.session in sessions and one.id not in kept:
            yield NotKept(one.id, one.at, why)


def _why(refused: Decision | None) -> str:
    """Return why a pass has no record; empty if it never began."""
    if refused is None:
        return "What it read wasn't kept."
    if refused.reason not in UNENDED:
        return ""
    return f"{REASONS[refused.reason].meaning}{f' {refused.observed}' if refused.observed else ''}"
