"""Who armed live trading, when, and for how long: rows that are appended and journaled, never changed."""

from datetime import date

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.model.trading import Arming


class Armings:
    """The armings of one account; the last one counts."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def append(self, arming: Arming) -> None:
        """Append an arming to the journal and then to the ledger; it is durable on return."""
        words = {
            "sessions": arming.sessions,
            "first": arming.first.isoformat(),
            "last": arming.last.isoformat(),
            "until": time_text(arming.until),
            "who": arming.who,
        }
        with self._file.write():
            self._file.note("live_armed", words, arming.at)
            self._file.seal()
            self._file.execute(
                "INSERT INTO armings (account, sequence, sessions, first, last, until, who, at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7"
                " FROM armings WHERE account = ?1",
                (self._file.account_number, *words.values(), time_text(arming.at)),
            )

    def last(self) -> Arming | None:
        """Return the last arming, even an expired one; None if this account was never armed."""
        found = self._file.row(
            "SELECT sessions, first, last, until, who, at FROM armings WHERE account = ? ORDER BY sequence DESC LIMIT 1"
        )
        if found is None:
            return None
        count, first, last, until, who, at = found
        days = date.fromisoformat(first), date.fromisoformat(last)
        return Arming(count, *days, parse_time(until), who, parse_time(at))
