"""Store the history of trading states. It has few imports, because `halt` writes here before it loads any other
module.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.schema import BUSY_TIMEOUT_S
from tradebot.adapters.text.canonical import json_text, time_text

MAY_FILL = """SELECT EXISTS (SELECT 1 FROM intents WHERE account = ?1 AND state IN ('sent', 'unknown'))
    OR EXISTS (SELECT 1 FROM orders INDEXED BY orders_working WHERE account = ?1 AND terminal = 0 AND coalesce(
    (SELECT intent ->> '$.purpose' FROM intents WHERE account = ?1 AND client_order_id = orders.client_order_id),
    (SELECT intent ->> '$.purpose' FROM orders AS led CROSS JOIN intents ON intents.account = ?1
    AND intents.client_order_id = led.client_order_id
    WHERE led.account = ?1 AND led.venue_id = orders.body ->> '$.parent')) IS NOT 'protect')"""
"""Select whether any order is working besides protective ones; an order counts as one if it was recorded as one or is a
leg.
"""


class HaltHistory:
    """The recorded trading states; the caller updates the ARMED and HALT files."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def record(
        self,
        state: str,
        who: str,
        why: str,
        at: datetime,
        *,
        causes: Iterable[str] | None = (),
        accepted_at: str | None = None,
    ) -> str:
        """Append a trading state and return the state now in force. REDUCE_ONLY doesn't replace FLATTEN, but ACTIVE
        does.

        `causes` are the causes of a halt (None if unknown), or, for ACTIVE, the causes that the user accepted by ending
        the halt. `accepted_at` is trading time.
        """
        with self._file.write():
            state = "FLATTEN" if state == "REDUCE_ONLY" and self._flattens() else str(state)
            named = None if causes is None else sorted(causes)
            words = {"state": state, "who": who, "why": why, "causes": named, "accepted_at": accepted_at}
            self._file.note("trading_state", words, at)
            self._file.seal()
            causes_text = None if named is None else json_text(named)
            self._file.append("trading_states", {**words, "causes": causes_text, "at": time_text(at)})
        return state

    def may_fill(self) -> bool:
        """Return True if an order that opens a position is working, or might be because its outcome is unknown."""
        return bool(self._file.row(MAY_FILL)[0])

    def _flattens(self) -> bool:
        return bool(self._file.newest("trading_states", "state") == ("FLATTEN",))


@contextmanager
def opened_history(
    folder: Path, *, read_only: bool = False, patience_s: float = BUSY_TIMEOUT_S
) -> Iterator[HaltHistory]:
    """Open a folder's ledger only for its history of trading states; raise like `LedgerFile.open`."""
    with closing(LedgerFile.open(folder, read_only=read_only, patience_s=patience_s)) as file:
        yield HaltHistory(file)
