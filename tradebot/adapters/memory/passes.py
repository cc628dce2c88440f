"""What one pass keeps in memory for the next: claimed slots, the calendar, the last reconcile, the trading state."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime

from tradebot.adapters.state.switch import newer_halt
from tradebot.model.bar import Session
from tradebot.model.reasons import Reason
from tradebot.model.trading import Override, ReconcileMark, SlotClaim, TradingState, TradingStateRecord

BEGUN = TradingStateRecord(TradingState.ACTIVE, "init", "armed", None)
"""The state that books in memory begin in: there is no file that could halt them."""


class Passes:
    """The slots, sessions, reconcile marks and trading states of one account."""

    def __init__(self) -> None:
        super().__init__()
        self._slots: dict[date, dict[tuple[str, str], SlotClaim]] = {}
        self._session_dates: list[date] = []
        self._sessions: tuple[Session, ...] = ()
        self._mark: ReconcileMark | None = None
        self._states: list[TradingStateRecord] = [BEGUN]

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        """Claim one slot of the timetable; the first claim wins and is permanent."""
        claims = self._slots.setdefault(session, {})
        holder = claims.get((job, slot))
        if holder is not None:
            return holder
        claims[job, slot] = SlotClaim(job, session, slot, by, at, won=False)
        return SlotClaim(job, session, slot, by, at, won=True)

    def miss_slots(self, slots: Iterable[tuple[str, date, str]], by: str, at: datetime) -> Sequence[SlotClaim]:
        """Claim slots that nobody ran, by job, session and name, all at once; return who holds each of them."""
        return [self.claim_slot(job, session, slot, by, at) for job, session, slot in slots]

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        """Return the claimed slots of one session, in the order they were claimed."""
        return tuple(self._slots.get(session, {}).values())

    def claims(self) -> Sequence[SlotClaim]:
        """Return the claimed slots of all sessions."""
        return tuple(claim for claims in self._slots.values() for claim in claims.values())

    def sessions(self, start: date, end: date) -> Sequence[Session]:
        """Return the stored sessions from `start` through `end`."""
        return self._sessions[bisect_left(self._session_dates, start) : bisect_right(self._session_dates, end)]

    def put_sessions(self, sessions: Iterable[Session], gone: Collection[date] = ()) -> None:
        """Store calendar sessions, replacing those of the same date, and drop those of the dates that are `gone`."""
        kept = (session for session in self._sessions if session.date not in gone)
        stored = {session.date: session for session in (*kept, *sessions)}
        self._session_dates = sorted(stored)
        self._sessions = tuple(stored[day] for day in self._session_dates)

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        """Write the result of a reconcile."""
        self._mark = mark

    def last_reconcile(self) -> ReconcileMark | None:
        """Return the last reconcile, or None if there was none."""
        return self._mark

    def trading_state(self) -> TradingStateRecord:
        """Return the state in force."""
        return self._states[-1]

    def set_trading_state(
        self,
        state: TradingState,
        who: str,
        why: str,
        at: datetime,
        *,
        causes: Collection[Reason] = (),
        override: Override | None = None,
        over: TradingStateRecord | None = None,
    ) -> None:
        """Write a new state, with the causes if the bot halted itself, or those a person accepts by ending a halt.

        REDUCE_ONLY doesn't replace FLATTEN, only ACTIVE does. If `over` is given and isn't the state in force anymore,
        raise OperatorError.
        """
        before = self.trading_state()
        if over is not None and before != over:
            raise newer_halt()
        flattens = state is TradingState.REDUCE_ONLY and before.state is TradingState.FLATTEN
        kept = TradingState.FLATTEN if flattens else state
        self._states.append(TradingStateRecord(kept, who, why, at, frozenset(causes), override))

    def halts(self) -> Sequence[TradingStateRecord]:
        """Return the states recorded since entries were last open, oldest first; empty if they are open now."""
        open_last = max(place for place, one in enumerate(self._states) if one.state is TradingState.ACTIVE)
        return tuple(self._states[open_last + 1 :])

    def trading_states(self) -> Sequence[TradingStateRecord]:
        """Return all states that were written, oldest first."""
        return tuple(self._states[1:])

    def armed(self) -> bool:
        """Return True if entries may be opened: a halt disarms, and whoever ends it arms again."""
        return self.trading_state().state is TradingState.ACTIVE
