"""What one pass stores for the next: claimed slots, the calendar, and the last reconcile."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime

from tradebot.adapters.ledger.tables import Tables
from tradebot.model.bar import Session
from tradebot.model.trading import ReconcileMark, SlotClaim


class Passes:
    """The slots, sessions and reconcile marks of one account."""

    tables: Tables

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        with self.tables.books.write():
            return self._claimed(job, session, slot, by, at)

    def miss_slots(self, slots: Iterable[tuple[str, date, str]], by: str, at: datetime) -> Sequence[SlotClaim]:
        with self.tables.books.write():
            return [self._claimed(*slot, by, at) for slot in slots]

    def _claimed(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        if self.tables.slots.add(SlotClaim(job, session, slot, by, at, won=False)):
            return SlotClaim(job, session, slot, by, at, won=True)
        holder = self.tables.slots.get(job, session, slot)
        assert holder is not None, "nobody deletes a claim"
        return holder

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        return tuple(self.tables.slots.among("session", [session]).values())

    def sessions(self, start: date, end: date) -> Sequence[Session]:
        return tuple(self.tables.sessions.span("date", start, end).values())

    def put_sessions(self, sessions: Iterable[Session], gone: Collection[date] = ()) -> None:
        with self.tables.books.write():
            for day in gone:
                self.tables.sessions.drop(day)
            for session in sessions:
                self.tables.sessions.put(session)

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        with self.tables.books.write():
            self.tables.reconciled.put(mark)

    def last_reconcile(self) -> ReconcileMark | None:
        return self.tables.reconciled.get()
