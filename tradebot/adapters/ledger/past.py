"""The whole past of an account: every fill and movement of cash, checked row by row, and the orders behind fills."""

import json
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any

from tradebot.adapters.ledger.bodies import names, proven_fill
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.schema import TABLES
from tradebot.adapters.ledger.sums import as_written, combined
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.canonical import parse_time
from tradebot.errors import DamagedBooksError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.cash import CashMovement
from tradebot.model.filled import Asked, FilledOrder
from tradebot.model.order import lineage
from tradebot.model.origin import Origin
from tradebot.model.position import OwnedFill
from tradebot.model.rested_stop import RestedStop

FILLS = f"""SELECT sequence, {as_written("fills", TABLES)}, row_sum, body, origin, about FROM fills
    WHERE account = ? ORDER BY sequence"""  # noqa: S608 - our own names
SEAL = f"SELECT 1, {as_written('fill_seals', TABLES)}, fills, sum FROM fill_seals WHERE account = ?"  # noqa: S608 - as above
CASH = f"""SELECT sequence, {as_written("cash_adjustments", TABLES)},
    coalesce(happened_at, at), amount, kind, origin, about, why, coalesce(symbol, '')
    FROM cash_adjustments WHERE account = ? ORDER BY sequence"""  # noqa: S608 - as above
OTHERS = {
    table: f"SELECT {number}, {as_written(table, TABLES)} FROM {table} WHERE account = ?"  # noqa: S608 - as above
    for table, number in (("book", "1"), ("acknowledged", "sequence"), ("trade_notes", "sequence"))
}
"""The short tables that others read: the opening cash, what was acknowledged, and what people wrote."""
ORDERS = """SELECT sequence, text IS NOT NULL, venue_id, client_order_id, replaced_by, text ->> '$.parent',
    text ->> '$.stop_price', text ->> '$.arrival_mid'
    FROM (SELECT *, iif(json_valid(body), body, NULL) AS text FROM orders WHERE account = ?) ORDER BY sequence"""
INTENTS = """SELECT sequence, said IS NOT NULL, client_order_id, said FROM (
    SELECT sequence, client_order_id, iif(json_valid(intent), json_extract(intent, '$.at', '$.why', '$.purpose',
    '$.decision_mid', '$.send_mid', '$.send_mid_at'), NULL) AS said
    FROM intents WHERE account = ?1 AND client_order_id IN (SELECT value FROM json_each(?2)) LIMIT -1 OFFSET 0)"""
"""Select what intents say, in one pass over all: almost every one is asked for. SQLite evaluates a subquery with an
offset on its own, so `said` is extracted only once."""
STOPS = """SELECT intent ->> '$.key.strategy', intent ->> '$.instrument.symbol', intent ->> '$.side', intent ->> '$.at',
    intent ->> '$.stop_price' FROM intents WHERE account = ? AND state = 'acked' AND intent ->> '$.purpose' = 'protect'
    AND intent ->> '$.operation' != 'cancel' AND intent ->> '$.stop_price' IS NOT NULL
    ORDER BY intent ->> '$.at', sequence"""


class Past:
    """Reads what performance is computed from; raises DamagedBooksError, naming the row, if one was changed."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def fills(self) -> tuple[OwnedFill, ...]:
        """Return all fills and adjustments, oldest first, after comparing them with the seal over all of them."""
        sums, found = list[str](), list[OwnedFill]()
        for row_sum, *fill in self._checked("fills", FILLS):
            sums.append(row_sum)
            found.append(proven_fill(*fill))
        ((count, sealed),) = self._checked("fill_seals", SEAL)
        if (len(found), combined(*sums)) != (count, sealed):
            raise DamagedBooksError(
                f"The ledger is damaged: it has {len(found)} fills, but not those written.", REBUILD
            )
        # The sort is stable: fills of the same time keep the order in which they were written.
        return tuple(sorted(found, key=lambda owned: owned.fill.at))

    def cash_movements(self) -> tuple[CashMovement, ...]:
        """Return every movement of cash that no fill explains, in the order of the books.

        Its time is the broker's if that is known, otherwise when it was booked.
        """
        return tuple(
            CashMovement(parse_time(at), Decimal(amount), kind, Origin(origin), about, why, symbol)
            for at, amount, kind, origin, about, why, symbol in self._checked("cash_adjustments", CASH)
        )

    def check_others(self) -> None:
        """Compare the opening cash, what was acknowledged and the notes with their rows' sums."""
        for table, query in OTHERS.items():
            for _ in self._checked(table, query):
                pass

    def behind(self, venue_ids: Collection[str]) -> dict[str, tuple[FilledOrder, tuple[Asked, ...]]]:
        """Return the known orders of these ids, each with the intents that it came from, the nearest first.

        An intent is behind an order if it made that, or one that it replaced, or the one that it is a leg of.
        """
        orders, before, parents = dict[str, FilledOrder](), dict[str, str](), dict[str, str]()
        for venue_id, name, replaced_by, parent, stop_price, arrival_mid in self._checked("orders", ORDERS):
            orders[venue_id] = FilledOrder(name, _number(stop_price), _number(arrival_mid))
            if replaced_by:
                before[replaced_by] = venue_id
            if parent:
                parents[venue_id] = parent
        lines = {venue_id: lineage(venue_id, before, parents) for venue_id in venue_ids if venue_id in orders}
        asked = self._asked({orders[one].client_order_id for line in lines.values() for one in line if one in orders})
        return {
            venue_id: (
                orders[venue_id],
                tuple(asked[name] for one in line if one in orders and (name := orders[one].client_order_id) in asked),
            )
            for venue_id, line in lines.items()
        }

    def _asked(self, client_order_ids: Collection[str]) -> dict[str, Asked]:
        """Return those of these intents that were ever promised, by client order id."""
        return {
            name: Asked(
                name,
                parse_time(at),
                why or "",
                purpose == Purpose.PROTECT.value,
                _number(decision_mid),
                _number(send_mid),
                parse_time(send_mid_at) if send_mid_at else None,
            )
            for name, said in self._checked("intents", INTENTS, names(client_order_ids))
            for at, why, purpose, decision_mid, send_mid, send_mid_at in (json.loads(said),)
        }

    def stops(self) -> tuple[RestedStop, ...]:
        """Return every stop that the broker accepted to protect a position, in the order in which they were sent."""
        return tuple(
            RestedStop(strategy, symbol, Side(side), parse_time(at), Decimal(price))
            for strategy, symbol, side, at, price in self._file.streamed(STOPS)
        )

    def _checked(self, table: str, query: str, *values: str) -> Iterator[Any]:
        """Yield the rows of a query without its first two columns: a row's number, and whether it is as written."""
        for number, sound, *row in self._file.streamed(query, values):
            if not sound:
                what = f"row {number} of {table} is not as it was written"
                raise DamagedBooksError(f"The ledger is damaged: {what}.", REBUILD)
            yield row


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
