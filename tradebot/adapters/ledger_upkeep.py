"""Parts of the ledger that orders do not need: what others hold, and what a rebuild leaves for a person to accept."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tradebot.adapters.canonical import decimal_text, time_text
from tradebot.adapters.journal import Head
from tradebot.adapters.ledger_sums import SUM
from tradebot.adapters.ledger_tallies import Tallies


class Upkeep(Tallies):
    """What is noted beside orders and fills."""

    def acknowledge(self, symbol: str, quantity: Decimal, why: str, at: datetime) -> None:
        """Record a foreign position as known and left alone; zero forgets it."""
        with self._write():
            self._acknowledge(symbol, quantity, why, at)
            self._seal()

    def _acknowledge(self, symbol: str, quantity: Decimal, why: str, at: datetime) -> None:
        self._note("acknowledged", {"symbol": symbol, "quantity": decimal_text(quantity), "why": why}, at)
        self._execute(
            "INSERT INTO acknowledged (account, sequence, symbol, quantity, why, at)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5"
            " FROM acknowledged WHERE account = ?1",
            (self._account, symbol, decimal_text(quantity), why, time_text(at)),
        )

    def acknowledged(self) -> Mapping[str, Decimal]:
        """Return the foreign positions that a person has acknowledged, signed quantities by symbol."""
        found = self._rows("SELECT symbol, quantity FROM acknowledged WHERE account = ? ORDER BY sequence")
        latest = {symbol: Decimal(quantity) for symbol, quantity in found}
        return {symbol: quantity for symbol, quantity in latest.items() if quantity}

    def mark_rebuilt(self, name: str, details: Mapping[str, str | int | None], at: datetime) -> None:
        """Write that these books were rebuilt under a name, which a person has yet to accept."""
        with self._write():
            self._note("rebuilt", {"name": name, **details}, at)
            self._seal()
            self._execute("UPDATE book SET rebuilt = ? WHERE account = ?", (name, self._account))

    def accept_rebuilt(self, name: str, who: str, at: datetime) -> None:
        """Write that a person has accepted the rebuilt books; AssertionError where another name waits."""
        with self._write():
            if self.rebuilt() != name:
                raise AssertionError(f"{name} does not wait to be accepted")
            self._note("accepted", {"name": name, "who": who}, at)
            self._seal()
            self._execute("UPDATE book SET rebuilt = NULL WHERE account = ?", (self._account,))

    def newest(self) -> str:
        """Return the time, as text, of the last thing that was written about intents, fills or slots; "" for none."""
        query = (
            "SELECT max(at) FROM (SELECT max(updated_at) AS at FROM intents WHERE account = ?1"
            " UNION ALL SELECT max(applied_at) FROM fills WHERE account = ?1"
            " UNION ALL SELECT max(at) FROM slots WHERE account = ?1"
            " UNION ALL SELECT opened_at FROM book WHERE account = ?1)"
        )
        ((found,),) = self._rows(query)
        return str(found or "")

    def seal(self) -> Head:
        """Return the journal's record up to which these books were durable at the last commit."""
        return self._sealed()

    def as_journalled(self) -> Iterator[tuple[str, Any, str]]:
        """Yield kind, payload and time of the records that the journal should hold for what stands here."""
        ((cash, at),) = self._rows("SELECT opening_cash, opened_at FROM book WHERE account = ?")
        if at is not None:
            yield "opening", {"cash": cash}, at
        for intent, verdicts in self._rows("SELECT intent, verdicts FROM intents WHERE account = ? ORDER BY sequence"):
            body = json.loads(intent)
            yield "promised", {"intent": body, "verdicts": json.loads(verdicts)}, body["at"]
        for body, at in self._rows("SELECT body, applied_at FROM fills WHERE account = ? ORDER BY sequence"):
            yield "fill", json.loads(body), at
        for amount, why, at in self._rows("SELECT amount, why, at FROM cash_adjustments WHERE account = ?"):
            yield "cash_adjusted", {"amount": amount, "why": why}, at
        query = "SELECT symbol, quantity, why, at FROM acknowledged WHERE account = ? ORDER BY sequence"
        for symbol, quantity, why, at in self._rows(query):
            yield "acknowledged", {"symbol": symbol, "quantity": quantity, "why": why}, at

    def copy_rows(
        self, source: "Upkeep", table: str, wanted: Callable[[Mapping[str, Any]], bool] = lambda row: True
    ) -> None:
        """Add the rows of a table, which stands alone, that are wanted and that these books do not hold yet."""
        columns = [name for _, name, *_ in self._database.execute(f"PRAGMA table_info({table})") if name != SUM]
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours
        for row in source._rows(f"SELECT {names} FROM {table} WHERE account = ?"):  # noqa: S608 - names of ours
            if wanted(dict(zip(columns, row, strict=True))):
                self._execute(statement, row)
