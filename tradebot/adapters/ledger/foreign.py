"""Foreign positions that the bot leaves alone: a person acknowledged them, or an activity explains them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.text.canonical import decimal_text, parse_time, time_text
from tradebot.model.origin import Origin


class Foreign:
    """Positions in our account that the bot didn't open."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        """Record a foreign position as known and left alone; zero forgets it."""
        with self._file.write():
            self.note(symbol, quantity, why, at, origin, about)
            self._file.seal()

    def note(self, symbol: str, quantity: Decimal, why: str, at: datetime, origin: Origin, about: str) -> None:
        """Record a position as `acknowledge` does, in the caller's transaction."""
        words = {"symbol": symbol, "quantity": decimal_text(quantity), "origin": origin, "about": about, "why": why}
        self._file.note("acknowledged", words, at)
        self._file.execute(
            "INSERT INTO acknowledged (account, sequence, symbol, quantity, origin, about, why, at)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7"
            " FROM acknowledged WHERE account = ?1",
            (self._file.account_number, *words.values(), time_text(at)),
        )

    def acknowledged(self) -> Mapping[str, Decimal]:
        """Return the acknowledged foreign positions: signed quantities by symbol."""
        found = self._file.rows("SELECT symbol, quantity FROM acknowledged WHERE account = ? ORDER BY sequence")
        latest = {symbol: Decimal(quantity) for symbol, quantity in found}
        return {symbol: quantity for symbol, quantity in latest.items() if quantity}

    def acknowledged_since(self) -> Mapping[str, datetime]:
        """Return when each of these positions was first acknowledged, even if its quantity changed since."""
        since: dict[str, datetime] = {}
        for symbol, quantity, at in self._file.rows(
            "SELECT symbol, quantity, at FROM acknowledged WHERE account = ? ORDER BY sequence"
        ):
            if Decimal(quantity):
                since.setdefault(symbol, parse_time(at))
            else:
                since.pop(symbol, None)
        return since
