"""When a session's backup failed, and when it is tried again.

Each pass would try it again otherwise, and copying large books takes seconds. The ledger's claims remember each try, so
that every process knows of it. No line of the timetable has a space in its name, so none is mixed up with these.
"""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from tradebot.model.trading import SlotClaim
from tradebot.ports.stores import Slots

FAILED, COPIED, NOT_COPIED = "backup failed", "backup copied", "backup not copied"
FIRST, MOST = timedelta(minutes=10), timedelta(hours=4)
"""How long the second try waits after the first, and the longest wait. Each wait is twice as long as the one before."""
DOUBLED_AT_MOST = 10
"""Ten doublings exceed the longest wait."""


class FailedBackup(NamedTuple):
    """The last try of a session's backup, why it failed, and when it is tried again, all in trading time."""

    at: datetime
    why: str
    again_at: datetime

    def waits(self, now: datetime) -> bool:
        """Return True until it is tried again. If the broker's clock was set back since, the wait is over."""
        return self.at <= now < self.again_at


def failed_backup(ledger: Slots, session: date) -> FailedBackup | None:
    """Return how the last try of a session's backup failed; None if none has."""
    tries = [claim for claim in ledger.slot_claims(session) if claim.job == FAILED]
    if not tries:
        return None
    last = max(tries, key=lambda claim: claim.at)
    wait = min(FIRST * 2 ** min(len(tries) - 1, DOUBLED_AT_MOST), MOST)
    return FailedBackup(last.at, last.by, last.at + wait)


def note_failed(ledger: Slots, session: date, why: str, now: datetime) -> None:
    """Note that a session's backup failed just now."""
    ledger.claim_slot(FAILED, session, f"{now:%Y-%m-%dT%H:%M:%S.%f}Z", why, now)


def note_copied(ledger: Slots, why: str, now: datetime) -> None:
    """Note that a backup was copied off the machine just now, or why it wasn't."""
    ledger.claim_slot(NOT_COPIED if why else COPIED, now.date(), f"{now:%Y-%m-%dT%H:%M:%S.%f}Z", why or COPIED, now)


def not_copied(last: SlotClaim | None, copied: SlotClaim | None) -> str:
    """Return why the last copy off the machine failed, by the last claims of each kind; empty if it didn't."""
    return last.by if last and not (copied and copied.at > last.at) else ""
