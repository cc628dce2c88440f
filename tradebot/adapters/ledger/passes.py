"""What one pass stores for the next: claimed slots, the calendar, and the last reconcile."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.model.bar import Session
from tradebot.model.trading import ReconcileMark, SlotClaim


class Passes:
    """The slots, sessions and reconcile marks of one account."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        """Claim one slot of the timetable and return who has it; the first claim wins, forever."""
        with self._file.write():
            return self._claimed(job, session, slot, by, at)

    def miss_slots(self, slots: Iterable[tuple[str, date, str]], by: str, at: datetime) -> Sequence[SlotClaim]:
        """Claim slots that nobody ran, by job, session and name, all at once; return who holds each of them."""
        with self._file.write():
            return [self._claimed(job, session, slot, by, at) for job, session, slot in slots]

    def _claimed(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        won = self._file.execute(
            "INSERT INTO slots (account, job, session, slot, holder, at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (self._file.account_number, job, session.isoformat(), slot, by, time_text(at)),
        )
        ((holder, since),) = self._file.rows(
            "SELECT holder, at FROM slots WHERE account = ? AND job = ? AND session = ? AND slot = ?",
            (job, session.isoformat(), slot),
        )
        return SlotClaim(job, session, slot, holder, parse_time(since), bool(won))

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        """Return the claimed slots of one session, in the order of claiming."""
        found = self._file.rows(
            "SELECT job, slot, holder, at FROM slots WHERE account = ? AND session = ? ORDER BY at, job, slot",
            (session.isoformat(),),
        )
        return tuple(SlotClaim(job, session, slot, by, parse_time(at), won=False) for job, slot, by, at in found)

    def last_claim(self, job: str) -> SlotClaim | None:
        """Return the claim of a job that was made last in the latest session of any; None if there is none."""
        found = self._file.row(
            "SELECT session, slot, holder, at FROM slots WHERE account = ? AND job = ?"
            " ORDER BY session DESC, at DESC LIMIT 1",
            (job,),
        )
        if found is None:
            return None
        session, slot, by, at = found
        return SlotClaim(job, date.fromisoformat(session), slot, by, parse_time(at), won=False)

    def sessions(self, start: date, end: date) -> Sequence[Session]:
        """Return the stored calendar between two dates."""
        found = self._file.rows(
            "SELECT date, open, close FROM sessions WHERE account = ? AND date BETWEEN ? AND ? ORDER BY date",
            (start.isoformat(), end.isoformat()),
        )
        return tuple(Session(date.fromisoformat(day), parse_time(o), parse_time(c)) for day, o, c in found)

    def put_sessions(self, sessions: Iterable[Session], gone: Collection[date] = ()) -> None:
        """Store calendar sessions, replacing those of the same date, and drop those of the dates that are `gone`."""
        with self._file.write():
            for day in gone:
                self._file.delete("sessions", "AND date = ?", (day.isoformat(),))
            for session in sessions:
                self._file.execute(
                    "INSERT INTO sessions (account, date, open, close) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET open = excluded.open, close = excluded.close"
                    " WHERE open != excluded.open OR close != excluded.close",
                    (
                        self._file.account_number,
                        session.date.isoformat(),
                        time_text(session.open),
                        time_text(session.close),
                    ),
                )

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        """Write the result of a reconcile."""
        with self._file.write():
            self._file.execute(
                "INSERT INTO last_reconcile (account, at, blocking, findings) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET at = excluded.at, blocking = excluded.blocking, findings = excluded.findings",
                (self._file.account_number, time_text(mark.at), mark.blocking, mark.findings),
            )

    def last_reconcile(self) -> ReconcileMark | None:
        """Return the last reconcile; None if there was none."""
        found = self._file.row("SELECT at, blocking, findings FROM last_reconcile WHERE account = ?")
        return ReconcileMark(parse_time(found[0]), found[1], found[2]) if found else None
