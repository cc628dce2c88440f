"""The slots that nobody ran, with the reasons, as the ledger's claims tell."""

from collections.abc import Iterable
from datetime import date

from msgspec import Struct

from tradebot.model.reasons import REASONS, Reason
from tradebot.model.trading import SlotClaim


class MissedSlots(Struct, frozen=True):
    """Slots of one job in one session that nobody ran for the same reason: how many, and the first and the last."""

    session: date
    job: str
    reason: Reason
    count: int
    first: str
    last: str
    meaning: str


def missed_slots(claims: Iterable[SlotClaim]) -> tuple[MissedSlots, ...]:
    """Return the missed slots among these claims, by session, job and reason, in the order in which they were noticed.

    A strategy's own slots aren't among them: its passes tell of these.
    """
    together: dict[tuple[date, str, Reason], list[str]] = {}
    for claim in claims:
        if claim.missed is not None and " " not in claim.job:
            together.setdefault((claim.session, claim.job, claim.missed), []).append(claim.slot)
    return tuple(
        MissedSlots(session, job, reason, len(slots), slots[0], slots[-1], REASONS[reason].meaning)
        for (session, job, reason), slots in together.items()
    )
