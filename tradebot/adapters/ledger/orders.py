"""Store intents before they are sent, and their outcomes afterward; read intents and orders in batches.

Records that must not be lost are journaled and synced before the commit. A submission's outcome is journaled without a
sync, because the venue can be queried again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from tradebot.adapters.ledger.rows import IntentContent, IntentRow, StoredOrder
from tradebot.adapters.ledger.tables import LedgerTables, in_order
from tradebot.adapters.text.canonical import decimal_text
from tradebot.adapters.text.codec import encode
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.order import Order, Reply, WriteOutcome, lineages
from tradebot.model.struct_tools import replace

STATE_AFTER = {
    WriteOutcome.ACCEPTED: IntentState.ACKED,
    WriteOutcome.REJECTED: IntentState.REJECTED,
    WriteOutcome.UNKNOWN: IntentState.UNKNOWN,
}
KNOWN = frozenset({IntentState.ACKED, IntentState.REJECTED})
UNRESOLVED = tuple(state for state in IntentState if state.is_unresolved)
EVER = datetime.min.replace(tzinfo=UTC)


class SqliteOrders:
    """Stores our intents and the venue orders that came from them."""

    tables: LedgerTables

    def record_intent(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        return self.record_intent_again(intent, IntentContent(verdicts))

    def record_intent_again(self, intent: Intent, content: IntentContent) -> bool:
        """Record an intent as SENT and return True; return False and change nothing if the ledger already has it.

        If `content` has texts that were already written, such as those of a journal record, they are stored unchanged.
        """
        books, name = self.tables.books, intent.client_order_id
        row = books.as_written(IntentRow(IntentRecord(intent, IntentState.SENT, None, None, intent.at), content))
        with books.write():
            added = self.tables.intents.add(row)
            if added:
                for order in self.tables.orders.among("client_order_id", [name]).values():
                    self.tables.orders.put(order._replace(is_ours=True))
                books.note("promised", row.payload, intent.at)
                books.seal()
        return added

    def record_outcome(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        books = self.tables.books
        with books.write():
            row = self._row(client_order_id)
            # An unknown outcome never replaces a known one.
            if not (row.record.state in KNOWN and reply.outcome is WriteOutcome.UNKNOWN):
                self._move(row, STATE_AFTER[reply.outcome], reply.code, reply.message, at)
            for order in (reply.order, *reply.legs) if reply.order else ():
                self._apply_order(order, at)
            books.note("settled", partial(_outcome_payload, client_order_id, reply), at)

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        books = self.tables.books
        with books.write():
            row = self._unresolved_row(client_order_id)
            books.note("abandoned", {"client_order_id": client_order_id, "why": why}, at)
            books.seal()
            self._move(row, IntentState.ABANDONED, None, why, at)

    def retry(self, client_order_id: str, at: datetime, limit_price: Decimal | None = None) -> None:
        books = self.tables.books
        price = {} if limit_price is None else {"limit_price": decimal_text(limit_price)}
        with books.write():
            row = self._unresolved_row(client_order_id)
            books.note("retried", {"client_order_id": client_order_id, **price}, at)
            books.seal()
            self._move(row, IntentState.SENT, None, None, at)

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        with self.tables.books.write():
            return sum(self._apply_order(order, at) for order in orders)

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        first, last = session or since or date.min, session or date.max
        intents = self.tables.intents
        if not unresolved:
            return _records(intents.span("session", first, last))
        records = _records(intents.among("state", UNRESOLVED))
        return tuple(record for record in records if first <= record.intent.session <= last)

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        intents = self.tables.intents
        with self.tables.books.reading():
            return _records({**intents.among("state", UNRESOLVED), **intents.span("session", since)})

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        records = _records(self.tables.intents.among("state", (*UNRESOLVED, IntentState.ABANDONED)))
        return tuple(record for record in records if record.state.is_unresolved or record.intent.session >= since)

    def recorded_intents(self, client_order_ids: Collection[str]) -> Mapping[str, IntentRecord]:
        rows = self.tables.intents.several([(order_id,) for order_id in client_order_ids])
        return {name: row.record for (name,), row in rows.items()}

    def intent(self, client_order_id: str) -> IntentRecord | None:
        row = self.tables.intents.get(client_order_id)
        return row.record if row else None

    def last_acknowledged(self) -> str | None:
        row = self.tables.intents.last(_was_acknowledged)
        return row.record.intent.client_order_id if row else None

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        orders = self.tables.orders
        if not working:
            return _orders(orders.span("applied_at", since or EVER))
        rows = orders.among("working", [True])
        return _orders({number: row for number, row in rows.items() if not since or row.applied_at >= since})

    def recent_orders(self, since: datetime) -> Sequence[Order]:
        orders = self.tables.orders
        with self.tables.books.reading():
            unfinished = {**orders.among("working", [True]), **orders.among("unpromised", [True])}
            return _orders({**unfinished, **orders.span("applied_at", since)})

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        chains, wanted_ids, seen_ids = dict[str, Order](), set(venue_ids), set[str]()
        orders = self.tables.orders
        with self.tables.books.reading():
            while wanted_ids:
                rows = (
                    *orders.several([(name,) for name in wanted_ids]).values(),
                    *orders.among("replaced_by", wanted_ids).values(),
                )
                newest_by_id = {row.order.venue_id: row.order for row in rows}
                chains |= newest_by_id
                seen_ids |= wanted_ids
                parents = {order.parent for order in newest_by_id.values() if order.parent}
                wanted_ids = (newest_by_id.keys() | parents) - seen_ids
        return lineages(venue_ids, chains)

    def _row(self, client_order_id: str) -> IntentRow:
        row = self.tables.intents.get(client_order_id)
        if row is None:
            raise KeyError(client_order_id)
        return row

    def _unresolved_row(self, client_order_id: str) -> IntentRow:
        row = self._row(client_order_id)
        if not row.record.state.is_unresolved:
            raise AssertionError(f"{client_order_id} is {row.record.state}, not unresolved")
        return row

    def _move(self, row: IntentRow, state: IntentState, code: str | None, message: str | None, at: datetime) -> None:
        record = replace(row.record, state=state, code=code, message=message, updated_at=at)
        self.tables.intents.put(row._replace(record=record))

    def _apply_order(self, order: Order, at: datetime) -> bool:
        orders = self.tables.orders
        earlier = orders.get(order.venue_id)
        order = order.with_known(earlier.order if earlier else None)
        if self._is_another(order):
            order = replace(order, client_order_id="")
        if earlier and not order.supersedes(earlier.order):
            return False
        is_ours = earlier is not None and earlier.is_ours
        orders.put(StoredOrder(order, at, is_ours or self._is_recorded(order)))
        return True

    def _is_another(self, order: Order) -> bool:
        """Return True if an order's id belongs to an intent that another order has already fulfilled.

        An intent is for one order. A venue that enforces unique ids only among open orders accepts a second order with
        the same id from anyone; its fills aren't ours.
        """
        same = self.tables.orders.among("client_order_id", [order.client_order_id]) if order.client_order_id else {}
        others = [row.order for row in same.values() if row.is_ours and row.order.venue_id != order.venue_id]
        return any(order.venue_id not in (other.replaced_by, other.parent) for other in others)

    def _is_recorded(self, order: Order) -> bool:
        """Return True if an order is ours: recorded under its own id, or a leg of an order that was."""
        if self.tables.intents.known_keys([order.client_order_id]):
            return True
        parent = self.tables.orders.get(order.parent) if order.parent else None
        return parent is not None and parent.is_ours


def _outcome_payload(client_order_id: str, reply: Reply) -> Mapping[str, Any]:
    return {"client_order_id": client_order_id, "reply": encode(reply)}


def _was_acknowledged(row: IntentRow) -> bool:
    return row.record.state is IntentState.ACKED and row.record.intent.makes_order


def _records(rows: Mapping[int, IntentRow]) -> tuple[IntentRecord, ...]:
    return tuple([row.record for row in in_order(rows)])


def _orders(rows: Mapping[int, StoredOrder]) -> tuple[Order, ...]:
    return tuple([row.order for row in in_order(rows)])
