"""Intents and orders: promised before they are sent, settled afterwards, and read in batches.

What must not be lost is journaled and synced before the commit. How a submission ended is journaled without a sync,
because the venue can be asked again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache

from tradebot.adapters.ledger.bodies import CACHED_VALUES, decoded, names, stored
from tradebot.adapters.ledger.file import LedgerFile
from tradebot.adapters.ledger.upkeep import promised_text
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.adapters.text.codec import encode
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent, IntentRecord, IntentState, mark_of
from tradebot.model.order import Order, Outcome, Reply, lineages

STATE_AFTER = {
    Outcome.ACCEPTED: IntentState.ACKED,
    Outcome.REJECTED: IntentState.REJECTED,
    Outcome.UNKNOWN: IntentState.UNKNOWN,
}
EVER = time_text(datetime.min.replace(tzinfo=UTC))
# Queries name their index, or the order of tables by CROSS JOIN: SQLite would otherwise read all rows ever written.
UNRESOLVED = """SELECT intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_state
    WHERE account = ? AND state IN ('sent', 'unknown') AND session BETWEEN ? AND ? ORDER BY sequence"""
OF_SESSIONS = """SELECT intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_session
    WHERE account = ? AND session BETWEEN ? AND ? ORDER BY sequence"""
LAST_ACKNOWLEDGED = """SELECT client_order_id FROM intents NOT INDEXED
    WHERE account = ? AND state = 'acked' AND intent ->> '$.operation' != 'cancel' ORDER BY sequence DESC LIMIT 1"""
WORKING = """SELECT body FROM orders INDEXED BY orders_working
    WHERE account = ? AND terminal = 0 AND applied_at >= ? ORDER BY sequence"""
RECENT = """SELECT body FROM orders INDEXED BY orders_by_time
    WHERE account = ? AND applied_at >= ? ORDER BY sequence"""
CHAINS = """WITH RECURSIVE asked (venue_id) AS (SELECT value FROM json_each(?2) UNION
    SELECT orders.venue_id FROM asked CROSS JOIN orders INDEXED BY orders_replaced
    ON orders.account = ?1 AND orders.replaced_by = asked.venue_id UNION
    SELECT orders.body ->> '$.parent' FROM asked CROSS JOIN orders
    ON orders.account = ?1 AND orders.venue_id = asked.venue_id)
    SELECT body FROM asked CROSS JOIN orders ON account = ?1 AND orders.venue_id = asked.venue_id"""
PROMISE = """UPDATE orders INDEXED BY orders_by_client_order_id SET promised = 1
    WHERE account = ? AND client_order_id = ? AND promised = 0"""
"""Note that an order which was reported before is one of ours; usually there is none."""
PROMISED = """SELECT client_order_id, intent, state, code, message, updated_at
    FROM json_each(?2) CROSS JOIN intents ON account = ?1 AND client_order_id = value"""
LIVELY = """SELECT body FROM (
    SELECT sequence, body FROM orders INDEXED BY orders_working WHERE account = ?1 AND terminal = 0
    UNION SELECT sequence, body FROM orders INDEXED BY orders_by_time WHERE account = ?1 AND applied_at >= ?2
    UNION SELECT sequence, body FROM orders INDEXED BY orders_unpromised WHERE account = ?1 AND promised = 0
    ) ORDER BY sequence"""
UNSETTLED = """SELECT intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_state
    WHERE account = ? AND state IN ('sent', 'unknown', 'abandoned') AND (state != 'abandoned' OR session >= ?)
    ORDER BY sequence"""
SINCE = """SELECT intent, state, code, message, updated_at FROM (
    SELECT sequence, intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_state
    WHERE account = ?1 AND state IN ('sent', 'unknown')
    UNION SELECT sequence, intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_session
    WHERE account = ?1 AND session >= ?2) ORDER BY sequence"""


class Orders:
    """Our intents, and the venue's orders that came from them."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def promise(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        """Write the intent as SENT with its verdicts; return False and change nothing if its id is already there."""
        body, reasons = encode(intent), [encode(verdict) for verdict in verdicts]
        return self.promise_text(intent, json_text(body), json_text(reasons))

    def promise_text(self, intent: Intent, body: str, verdicts: str) -> bool:
        """Write an intent from its text and the text of its verdicts."""
        with self._file.write():
            added = self._file.execute(
                "INSERT INTO intents"
                " (account, sequence, client_order_id, session, state, intent, verdicts, updated_at)"
                " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7"
                " FROM intents WHERE account = ?1"
                " ON CONFLICT (account, client_order_id) DO NOTHING",
                (
                    self._file.account_number,
                    intent.client_order_id,
                    intent.session.isoformat(),
                    IntentState.SENT,
                    body,
                    verdicts,
                    time_text(intent.at),
                ),
            )
            if added:
                self._file.execute(PROMISE, (self._file.account_number, intent.client_order_id))
                self._file.note("promised", promised_text(body, verdicts), intent.at)
                self._file.seal()
        return bool(added)

    def settle(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        """Write how the submission or cancel ended, and the order if the venue returned one.

        An unknown outcome never replaces a known one. Raises KeyError if the intent was never promised.
        """
        with self._file.write():
            state = self._state_of(client_order_id)
            known = state in (IntentState.ACKED, IntentState.REJECTED)
            if not (known and reply.outcome is Outcome.UNKNOWN):
                self._move(client_order_id, STATE_AFTER[reply.outcome], reply.code, reply.message, at)
            for order in (reply.order, *reply.legs) if reply.order else ():
                self._apply_order(order, at)
            self._file.note("settled", {"client_order_id": client_order_id, "reply": encode(reply)}, at)

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        """Give up an unresolved intent that the venue has been proven not to have."""
        with self._file.write():
            self._require_unresolved(client_order_id)
            self._file.note("abandoned", {"client_order_id": client_order_id, "why": why}, at)
            self._file.seal()
            self._move(client_order_id, IntentState.ABANDONED, None, why, at)

    def retry(self, client_order_id: str, at: datetime) -> None:
        """Write, durably, that an unresolved intent is about to be sent again under the same id."""
        with self._file.write():
            self._require_unresolved(client_order_id)
            self._file.note("retried", {"client_order_id": client_order_id}, at)
            self._file.seal()
            self._move(client_order_id, IntentState.SENT, None, None, at)

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        """Write the venue's latest report of orders; return how many changed."""
        with self._file.write():
            return sum(self._apply_order(order, at) for order in orders)

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        """Return intents in the order promised: of one session, of sessions from `since` on, unresolved ones, or all.

        Unresolved intents are SENT or UNKNOWN.
        """
        first, last = session or since or date.min, session or date.max
        query = UNRESOLVED if unresolved else OF_SESSIONS
        return tuple(_intent_record(*row) for row in self._file.streamed(query, (first.isoformat(), last.isoformat())))

    def intent(self, client_order_id: str) -> IntentRecord | None:
        """Return one intent; None if there is none with this id."""
        found = self._file.row(
            "SELECT intent, state, code, message, updated_at FROM intents WHERE account = ? AND client_order_id = ?",
            (client_order_id,),
        )
        return _intent_record(*found) if found else None

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        """Return unresolved intents of any age and all of sessions from `since` on, in the order promised."""
        return tuple(_intent_record(*row) for row in self._file.streamed(SINCE, (since.isoformat(),)))

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        """Return unresolved intents of any age, and those given up in sessions from `since` on, as promised."""
        return tuple(_intent_record(*row) for row in self._file.streamed(UNSETTLED, (since.isoformat(),)))

    def promised(self, client_order_ids: Collection[str]) -> Mapping[str, IntentRecord]:
        """Return those of these intents that were ever promised, by client order id."""
        found = self._file.rows(PROMISED, (names(client_order_ids),))
        return {name: _intent_record(*row) for name, *row in found}

    def last_acknowledged(self) -> str | None:
        """Return the client order id of the last promised order that the venue acknowledged, ignoring cancels."""
        found = self._file.row(LAST_ACKNOWLEDGED)
        return found[0] if found else None

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        """Return known orders as last reported: all, those that may still fill, or those written from `since` on."""
        return tuple(self._stored(WORKING if working else RECENT, time_text(since) if since else EVER))

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        """Return the known orders of each chain: the order itself, then those that it replaced, the nearest first.

        A leg's chain goes on with the order that it belongs to, and those that this one replaced. An order that we
        haven't been told about may have replaced known ones; chains without any are left out.
        """
        found = {order.venue_id: order for order in self._stored(CHAINS, names(venue_ids))}
        return lineages(venue_ids, found)

    def recent_orders(self, since: datetime) -> Sequence[Order]:
        """Return known orders that may still fill, that were written from `since` on, or that we never promised."""
        return tuple(self._stored(LIVELY, time_text(since)))

    def _stored(self, query: str, *values: str) -> Iterator[Order]:
        return (stored(Order, body) for (body,) in self._file.streamed(query, values))

    def _require_unresolved(self, client_order_id: str) -> None:
        state = self._state_of(client_order_id)
        if not state.unresolved:
            raise AssertionError(f"{client_order_id} is {state}, not unresolved")

    def _state_of(self, client_order_id: str) -> IntentState:
        found = self._file.row(
            "SELECT state FROM intents WHERE account = ? AND client_order_id = ?", (client_order_id,)
        )
        if found is None:
            raise KeyError(client_order_id)
        return IntentState(found[0])

    def _move(
        self, client_order_id: str, state: IntentState, code: str | None, message: str | None, at: datetime
    ) -> None:
        self._file.execute(
            "UPDATE intents SET state = ?, code = ?, message = ?, updated_at = ?"
            " WHERE account = ? AND client_order_id = ?",
            (state, code, message, time_text(at), self._file.account_number, client_order_id),
        )

    def _apply_order(self, order: Order, at: datetime) -> bool:
        found = self._file.row("SELECT body FROM orders WHERE account = ? AND venue_id = ?", (order.venue_id,))
        known = stored(Order, found[0]) if found else None
        order = order.with_known(known)
        if known and not order.supersedes(known):
            return False
        self._file.execute(
            "INSERT INTO orders"
            " (account, sequence, venue_id, terminal, body, applied_at, client_order_id, replaced_by, promised)"
            " SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7,"
            " EXISTS (SELECT 1 FROM intents WHERE account = ?1 AND client_order_id = ?6)"
            " OR EXISTS (SELECT 1 FROM orders WHERE account = ?1 AND venue_id = ?8 AND promised = 1)"
            " FROM orders WHERE account = ?1"
            " ON CONFLICT (account, venue_id) DO UPDATE"
            " SET terminal = excluded.terminal, replaced_by = excluded.replaced_by, body = excluded.body,"
            " applied_at = excluded.applied_at, promised = max(promised, excluded.promised)",
            (
                self._file.account_number,
                order.venue_id,
                order.status.terminal,
                json_text(encode(order)),
                time_text(at),
                order.client_order_id,
                order.replaced_by,
                order.parent,
            ),
        )
        return True


def forget() -> None:
    """Empty the caches of orders and intents."""
    _intent_record.cache_clear()
    mark_of.cache_clear()


@lru_cache(maxsize=CACHED_VALUES)
def _intent_record(intent: str, state: str, code: str | None, message: str | None, updated_at: str) -> IntentRecord:
    """Return a promised intent from a cache, because a pass asks for most of them twice, and the next pass again."""
    return IntentRecord(decoded(Intent, intent), IntentState(state), code, message, parse_time(updated_at))
