"""Foreign positions that the bot leaves alone: a person acknowledged them, or an activity explains them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from tradebot.adapters.ledger.rows import AcknowledgedRow, acknowledged_words
from tradebot.adapters.ledger.tables import Tables
from tradebot.model.origin import Origin


class Foreign:
    """Positions in our account that the bot didn't open."""

    tables: Tables

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        with self.tables.books.write():
            self.note_foreign(AcknowledgedRow(at, symbol, quantity, origin, about, why))
            self.tables.books.seal()

    def note_foreign(self, row: AcknowledgedRow) -> None:
        """Record a position as `acknowledge` does, in the caller's transaction."""
        self.tables.books.note("acknowledged", acknowledged_words(row), row.at)
        self.tables.acknowledged.add(row)

    def acknowledged(self) -> Mapping[str, Decimal]:
        latest = {row.symbol: row.quantity for row in self.tables.acknowledged.after(0).values()}
        return {symbol: quantity for symbol, quantity in latest.items() if quantity}

    def acknowledged_since(self) -> Mapping[str, datetime]:
        since: dict[str, datetime] = {}
        for row in self.tables.acknowledged.after(0).values():
            if row.quantity:
                since.setdefault(row.symbol, row.at)
            else:
                since.pop(row.symbol, None)
        return since
