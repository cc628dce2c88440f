"""What a pass saw and decided, on either side of a comparison: as it was recorded, or as a backtest played it."""

from collections.abc import Sequence
from datetime import date, datetime

from msgspec import Struct

from tradebot.desk.proposals import Proposals
from tradebot.model.desk import Desk
from tradebot.model.record import CycleRecord, Job

Slot = tuple[Job, date, str]
"""What names a pass on both sides."""


class PassSeen(Struct, frozen=True):
    """One pass: what it decided, on which desk, from which proposals; None for a pass of exits.

    `otherwise` says what this program decides otherwise from what the pass was given; it is empty if nothing.
    """

    cycle: CycleRecord
    desk: Desk
    proposed: Proposals | None = None
    otherwise: str = ""

    @property
    def slot(self) -> Slot:
        return self.cycle.job, self.cycle.session, self.cycle.slot

    @property
    def asked_at(self) -> datetime:
        """Return when its strategies were asked, as far as their candidates say."""
        candidates: Sequence[datetime] = [one.at for one in self.proposed.candidates] if self.proposed else []
        return min(candidates, default=self.desk.now)
