"""Intents, orders and fills as they stand in the ledger, some rows at a time: books grow for years."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import takewhile
from typing import Any, TypeVar

from tradebot.adapters.ledger.money import Money
from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.adapters.text.codec import decode
from tradebot.errors import DamagedBooksError
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.order import Order, chain
from tradebot.model.position import OwnedFill

T = TypeVar("T")
REMEMBERED = 5_000
EVER = time_text(datetime.min.replace(tzinfo=UTC))
# The indexes are named, because SQLite would rather read the rows of all years in the order asked for.
UNRESOLVED = """SELECT intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_state
    WHERE account = ? AND state IN ('sent', 'unknown') AND session BETWEEN ? AND ? ORDER BY sequence"""
OF_SESSIONS = """SELECT intent, state, code, message, updated_at FROM intents INDEXED BY intents_by_session
    WHERE account = ? AND session BETWEEN ? AND ? ORDER BY sequence"""
LAST_ACKNOWLEDGED = """SELECT client_order_id FROM intents NOT INDEXED
    WHERE account = ? AND state = 'acked' AND intent ->> '$.operation' != 'cancel' ORDER BY sequence DESC LIMIT 1"""
FILLS = "SELECT sequence, body FROM fills WHERE account = ? AND sequence > ? ORDER BY sequence"
WORKING = """SELECT body FROM orders INDEXED BY orders_working
    WHERE account = ? AND terminal = 0 AND applied_at >= ? ORDER BY sequence"""
TOLD = """SELECT body FROM orders
    WHERE account = ? AND (applied_at >= ? OR body ->> '$.replaced_by' IS NOT NULL) ORDER BY sequence"""
UNPROMISED = """SELECT body FROM orders WHERE account = ?1 AND NOT EXISTS (SELECT 1 FROM intents
    WHERE account = ?1 AND client_order_id = orders.body ->> '$.client_order_id') ORDER BY sequence"""
REPLACED = "SELECT venue_id, body ->> '$.replaced_by' FROM orders WHERE account = ? AND body ->> '$.replaced_by' != ''"
OWNED = """SELECT orders.venue_id, intents.intent ->> '$.key.strategy' FROM orders JOIN intents
    ON intents.account = orders.account AND intents.client_order_id = orders.body ->> '$.client_order_id'
    WHERE orders.account = ? AND intents.intent ->> '$.operation' != 'cancel'"""


class Rows(Money):
    """What is read of orders: of all years, or of those that a pass needs."""

    _fills_read: tuple[int, tuple[OwnedFill, ...]] = (0, ())
    """The last row of the fills that were read, and all of them up to it."""
    _owners_read: tuple[tuple[int, int], Mapping[str, str]] | None = None
    """Which strategies orders had, and what anybody had written by then."""

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        """Return intents in the order promised: of one session, of sessions from `since` on, unresolved ones, or all.

        Unresolved are those SENT or UNKNOWN.
        """
        first, last = session or since or date.min, session or date.max
        query = UNRESOLVED if unresolved else OF_SESSIONS
        return tuple(_intent_record(row) for row in self._streamed(query, (first.isoformat(), last.isoformat())))

    def intent(self, client_order_id: str) -> IntentRecord | None:
        """Return one intent."""
        found = self._row(
            "SELECT intent, state, code, message, updated_at FROM intents WHERE account = ? AND client_order_id = ?",
            (client_order_id,),
        )
        return _intent_record(found) if found else None

    def last_acknowledged(self) -> str | None:
        """Return the client order id of the last promised order that the venue has acknowledged; cancels are none."""
        found = self._row(LAST_ACKNOWLEDGED)
        return found[0] if found else None

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        """Return known orders as last told: all, those that may still fill, or those written from `since` on.

        With `since` those that another order took the place of are among them however old: chains lead through them.
        """
        query = WORKING if working else TOLD
        found = self._streamed(query, (time_text(since) if since else EVER,))
        return tuple(stored(Order, body) for (body,) in found)

    def unpromised_orders(self) -> Sequence[Order]:
        """Return the known orders whose client order ids were never promised here."""
        return tuple(stored(Order, body) for (body,) in self._streamed(UNPROMISED))

    def untraded(self, after: int) -> Iterator[OwnedFill]:
        """Yield the fills that no order of the venue stands behind, leaving the first `after` fills out."""
        query = "SELECT body FROM fills WHERE account = ? AND sequence > ? AND body ->> '$.fill.venue_order_id' = ''"
        return (decoded(OwnedFill, body) for (body,) in self._streamed(query, (after,)))

    def owners(self) -> Mapping[str, str]:
        """Return the strategy of each of our orders by the venue's order id, whoever replaced them since.

        What was read once is kept until this process or another one writes.
        """
        ((elsewhere,),) = self._database.execute("PRAGMA data_version")
        written = elsewhere, self._database.total_changes
        if self._owners_read is None or self._owners_read[0] != written:
            self._owners_read = written, self._read_owners()
        return self._owners_read[1]

    def _read_owners(self) -> Mapping[str, str]:
        owned = {venue_id: sys.intern(strategy) for venue_id, strategy in self._streamed(OWNED)}
        following = dict(self._rows(REPLACED))
        for first in [venue_id for venue_id in following if venue_id in owned]:
            for follower in takewhile(lambda one: one not in owned, chain(first, following)):
                owned[follower] = owned[first]
        return owned

    def fills(self) -> Sequence[OwnedFill]:
        """Return all fills and adjustments, oldest first; what was read once is kept, because rows never change."""
        last, fills = self._fills_read
        new = list[OwnedFill]()
        for sequence, body in self._streamed(FILLS, (last,)):
            new.append(decoded(OwnedFill, body))
            last = max(last, sequence)
        if new:
            # Of two at one time the one that was written first stays first.
            fills = tuple(sorted((*fills, *new), key=lambda owned: owned.fill.at))
        if not self._database.in_transaction:
            self._fills_read = last, fills
        return fills


def decoded(kind: type[T], text: str) -> T:
    """Return a stored dataclass; OperatorError where its text does not fit."""
    try:
        return decode(kind, json.loads(text))
    except ValueError as error:
        raise DamagedBooksError(f"A row of the ledger cannot be read: {error}.", REBUILD) from error


def stored(kind: type[T], text: str) -> T:
    """Return a stored dataclass, parsed once per process as long as not too many others were: values are frozen."""
    whole: Any = kind
    value: T = _remembered(whole, text)
    return value


@lru_cache(maxsize=REMEMBERED)
def _remembered(kind: Any, text: str) -> Any:
    return decoded(kind, text)


def _intent_record(row: Sequence[Any]) -> IntentRecord:
    intent, state, code, message, updated_at = row
    return IntentRecord(stored(Intent, intent), IntentState(state), code, message, parse_time(updated_at))
