"""Determine the trading state: the more restrictive of the state in the ARMED and HALT files and the last recorded
state.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import starmap

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.state_history import HaltHistory
from tradebot.adapters.state import halt_switch
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, TradingState, TradingStateRecord

SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCE_ONLY: 1, TradingState.FLATTEN: 2}
NEVER = datetime.min.replace(tzinfo=UTC)
COLUMNS = "state, who, why, at, causes, accepted_at"


class TradingStates:
    """Stores whether the bot may open positions, who decided that, and since when."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self._history = HaltHistory(file)

    def trading_state(self) -> TradingStateRecord:
        """Return the more restrictive of the state in the ARMED and HALT files and the last recorded state; REDUCE_ONLY
        if either can't be read.
        """
        files = halt_switch.read(self._file.folder)
        try:
            newest = self._file.newest("trading_states", COLUMNS)
            row = (_state_record(*newest) if newest else None) or files
        except (OperatorError, TemporaryError) as error:
            row = TradingStateRecord(TradingState.REDUCE_ONLY, "", str(error), None)
        return max(row, files, key=lambda record: (SEVERITY[record.state], record.at or NEVER))

    def set_trading_state(self, new: TradingStateRecord, over: TradingStateRecord | None = None) -> None:
        """Record a new state. A halt changes the ARMED and HALT files first; ACTIVE changes them last, and only if the
        books are intact.

        If ACTIVE can't be written completely, the previous state is written again.
        """
        if new.state is not TradingState.ACTIVE:
            self._halt(new)
            return
        self._file.check_whole()
        shown, before, under = halt_switch.halt_stat(self._file.folder), self.trading_state(), self.halts()
        if over is not None and before != over:
            raise halt_switch.newer_halt()
        try:
            opened = self._open_entries(new, shown)
        except (OperatorError, TemporaryError):
            for halt in (*under, before):
                if halt.state is not TradingState.ACTIVE:
                    self._halt(replace(halt, at=halt.at or new.at))
            raise
        if not opened:
            raise halt_switch.newer_halt()

    def _open_entries(self, new: TradingStateRecord, shown: halt_switch.Seen) -> bool:
        """End the halt that was shown to the person; return False if there is a newer one."""
        if not halt_switch.lift(self._file.folder, shown):
            return False
        at, accepted = _time(new), new.override
        causes, accepted_at = (accepted.causes, time_text(accepted.at)) if accepted else ((), None)
        self._history.record("ACTIVE", new.who, new.why, at, causes=causes, accepted_at=accepted_at)
        halt_switch.arm(self._file.folder, new.who, at)
        return True

    def _halt(self, new: TradingStateRecord) -> None:
        """Write the halt file, then the history; if the file can't be changed, the history alone halts trading."""
        who, why, at, causes = new.who, new.why, _time(new), new.causes
        try:
            file_state = halt_switch.halt(self._file.folder, who, why, at, new.state, causes)
        except OperatorError:
            self._history.record(new.state, who, why, at, causes=causes)
            return
        recorded_state = self._history.record(
            "FLATTEN" if file_state == "FLATTEN" else new.state, who, why, at, causes=causes
        )
        if recorded_state != file_state:
            halt_switch.halt(self._file.folder, who, why, at, recorded_state, causes)

    def halts(self) -> Sequence[TradingStateRecord]:
        """Return the states recorded since trading was last ACTIVE, oldest first; none if it is ACTIVE now."""
        rows = self._file.rows(
            f"SELECT {COLUMNS} FROM trading_states WHERE account = ?1 AND sequence >"  # noqa: S608 - our own names
            " (SELECT coalesce(max(sequence), 0) FROM trading_states WHERE account = ?1 AND state = 'ACTIVE')"
            " ORDER BY sequence"
        )
        return tuple(starmap(_state_record, rows))

    def states_since(self, at: datetime, until: datetime) -> Sequence[TradingStateRecord]:
        """Return the states recorded between two times, oldest first, including ACTIVE ones."""
        condition = "account = ? AND at > ? AND at <= ? ORDER BY sequence"
        query = f"SELECT {COLUMNS} FROM trading_states WHERE {condition}"  # noqa: S608 - our own names
        return tuple(starmap(_state_record, self._file.rows(query, (time_text(at), time_text(until)))))

    def armed(self) -> bool:
        """Return True if `init` armed this state folder and the arming file is still there."""
        return halt_switch.is_armed(self._file.folder)


def _time(record: TradingStateRecord) -> datetime:
    assert record.at is not None, "somebody sets it now"
    return record.at


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
