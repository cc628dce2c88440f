"""The trading state: the more restrictive of the switch files and the last row of the history."""

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import starmap

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.history import History
from tradebot.adapters.state import switch
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.reasons import Reason
from tradebot.model.trading import Override, TradingState, TradingStateRecord

SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCE_ONLY: 1, TradingState.FLATTEN: 2}
NEVER = datetime.min.replace(tzinfo=UTC)


class TradingStates:
    """Whether the bot may open positions, who decided it, and since when."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self._history = History(file)

    def trading_state(self) -> TradingStateRecord:
        """Return the more restrictive of the switch files and the last row; REDUCE_ONLY if they can't be read."""
        files = switch.read(self._file.folder)
        try:
            row = self._last_state() or files
        except (OperatorError, TemporaryError) as error:
            row = TradingStateRecord(TradingState.REDUCE_ONLY, "", str(error), None)
        return max(row, files, key=lambda record: (SEVERITY[record.state], record.at or NEVER))

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
        """Write a new state: halting changes the files first, ACTIVE changes them last, and only over intact books.

        If ACTIVE can't be written completely, the previous state is written again.
        """
        if state is not TradingState.ACTIVE:
            self._halt(state, who, why, at, causes)
            return
        self._file.check_whole()
        shown, before, under = switch.seen(self._file.folder), self.trading_state(), self.halts()
        if over is not None and before != over:
            raise switch.newer_halt()
        try:
            opened = self._open_entries(who, why, at, override, shown)
        except (OperatorError, TemporaryError):
            for halt in (*under, before):
                if halt.state is not TradingState.ACTIVE:
                    self._halt(halt.state, halt.who, halt.why, halt.at or at, halt.causes)
            raise
        if not opened:
            raise switch.newer_halt()

    def _open_entries(self, who: str, why: str, at: datetime, override: Override | None, shown: switch.Seen) -> bool:
        """End the halt that the person was shown; return False if there is a newer one."""
        if not switch.lift(self._file.folder, shown):
            return False
        accepted_at = time_text(override.at) if override else None
        causes = override.causes if override else ()
        self._history.record("ACTIVE", who, why, at, causes=causes, accepted_at=accepted_at)
        switch.arm(self._file.folder, who, at)
        return True

    def _halt(self, state: TradingState, who: str, why: str, at: datetime, causes: Collection[Reason]) -> None:
        """Write the halt file, then the history; if the file can't be changed, the history alone halts trading."""
        try:
            held = switch.halt(self._file.folder, who, why, at, state, causes)
        except OperatorError:
            self._history.record(state, who, why, at, causes=causes)
            return
        kept = self._history.record("FLATTEN" if held == "FLATTEN" else state, who, why, at, causes=causes)
        if kept != held:
            switch.halt(self._file.folder, who, why, at, kept, causes)

    def halts(self) -> Sequence[TradingStateRecord]:
        """Return the states recorded since trading was last ACTIVE, oldest first; none if it is ACTIVE now."""
        found = self._file.rows(
            "SELECT state, who, why, at, causes, accepted_at FROM trading_states WHERE account = ?1 AND sequence >"
            " (SELECT coalesce(max(sequence), 0) FROM trading_states WHERE account = ?1 AND state = 'ACTIVE')"
            " ORDER BY sequence"
        )
        return tuple(starmap(_state_record, found))

    def armed(self) -> bool:
        """Return True if `init` armed this state folder and the arming file is still there."""
        return switch.armed(self._file.folder)

    def _last_state(self) -> TradingStateRecord | None:
        found = self._file.row(
            "SELECT state, who, why, at, causes, accepted_at FROM trading_states"
            " WHERE account = ? ORDER BY sequence DESC LIMIT 1"
        )
        return _state_record(*found) if found else None


def _state_record(
    state: str, who: str, why: str, at: str, causes: str | None, accepted_at: str | None
) -> TradingStateRecord:
    try:
        named = frozenset(map(Reason, json.loads(causes or "[]")))
        accepted = Override(named, parse_time(accepted_at)) if accepted_at else None
        halted_for = frozenset[Reason]() if state == TradingState.ACTIVE else named
        return TradingStateRecord(TradingState(state), who, why, parse_time(at), halted_for, accepted)
    except ValueError as error:
        return TradingStateRecord(TradingState.REDUCE_ONLY, "", str(error), None)
