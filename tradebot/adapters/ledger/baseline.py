"""Which configuration a person approved, and when: rows that are appended and journaled, never changed.

Only `init` and `config accept` write one, so running with tighter settings doesn't change what is accepted.
"""

import json
from typing import Any

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.errors import DamagedBooksError, OperatorError
from tradebot.model.baseline import Baseline

LONGEST = 240_000
"""The most bytes one configuration may take: a journal record can hold little more."""


class Baselines:
    """The approved configurations of one account; the last one is in force."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def approve(self, baseline: Baseline) -> None:
        """Append an approved configuration, durably; raise OperatorError if it is too large to record."""
        payload = {"fingerprint": baseline.fingerprint, "values": baseline.values, "who": baseline.who}
        body = json_text(payload["values"])
        if len(body.encode()) > LONGEST:
            raise OperatorError(
                f"The configuration takes {len(body.encode())} bytes, more than the {LONGEST} that can be recorded.",
                "Leave names out of universe: and sectors:, or settings out of strategies:.",
            )
        with self._file.write():
            last = self.last()
            # A rebuild sorts records by time, so a clock that was set back must not put this one before the last.
            at = max(baseline.at, last.at) if last else baseline.at
            self._file.note("approved", payload, at)
            self._file.seal()
            self._file.execute(
                "INSERT INTO baselines (account, sequence, fingerprint, body, who, at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5"
                " FROM baselines WHERE account = ?1",
                (self._file.account_number, baseline.fingerprint, body, baseline.who, time_text(at)),
            )

    def last(self) -> Baseline | None:
        """Return the last approved configuration; None if there is none, as in books started over."""
        found = self._file.row("SELECT body, who, at FROM baselines WHERE account = ? ORDER BY sequence DESC LIMIT 1")
        if found is None:
            return None
        body, who, at = found
        try:
            values: dict[str, Any] = json.loads(body)
            return Baseline(values, who, parse_time(at))
        except ValueError as error:
            raise DamagedBooksError(f"The approved configuration can't be read: {error}.", REBUILD) from error
