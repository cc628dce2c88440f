"""Catch up: write into the ledger what the venue has done to our orders, before anyone makes a decision."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from msgspec import Struct

from tradebot.errors import TemporaryError
from tradebot.model.account import BrokerView
from tradebot.model.books import Books
from tradebot.model.intent import (
    ID_CONFLICT,
    REFUSED_LATE,
    TARGET_DONE,
    Intent,
    IntentRecord,
    IntentState,
    Operation,
    is_marked,
    outcome_of,
)
from tradebot.model.order import Fill, Order, OrderStatus, Outcome, Reply, TimeInForce
from tradebot.model.position import FOREIGN, Origin, OwnedFill, unreported_fill
from tradebot.model.values import replace
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger, Orders
from tradebot.reconciliation.new_fills import (
    WATCHED,
    OrdersBehind,
    find_orders_behind_fills,
    is_ahead,
    known_orders,
    new_fills,
    orders_and_intents,
    owned_fills,
)

LOOKED_UP_SINGLY = 5
"""If more orders than this have ended unseen, read a list of ended orders instead of each one."""

LONGEST_CHAIN = 100
"""At most this many replacements of one order are followed in a pass; the rest wait for the next one."""


class MovedStop(NamedTuple):
    """An order whose stop the venue has moved by itself: a request of ours would have made another order."""

    before: Order
    now: Order


class CaughtUp(Struct, frozen=True):
    """What catching up changed, as counts, and the intents that are still unresolved.

    `unreadable` counts the venue's rows of fills that could not be read or believed, and `untraced_fills` the orders
    behind foreign fills that the venue has not returned yet. `unfilled` are the orders that have ended since the
    last time with shares left to fill, `moved` the resting orders whose stop the venue itself has moved.
    """

    orders: int
    fills: int
    unresolved: tuple[IntentRecord, ...]
    unreadable: int = 0
    untraced_fills: int = 0
    unfilled: tuple[Order, ...] = ()
    moved: tuple[MovedStop, ...] = ()


def read_view(reader: BrokerReader, ledger: Orders) -> BrokerView:
    """Return the venue's view without impossible orders; each of those is looked up by its id, like an omitted one.

    An order that has ended is not open, and no order changes its symbol, side or id.
    """
    view = reader.view()
    known = {order.venue_id: order for order in ledger.orders(working=True)}
    kept = tuple(order for order in view.orders if not _is_untrue(order, known.get(order.venue_id)))
    dropped = len(view.orders) - len(kept)
    return replace(view, orders=kept, unreadable=view.unreadable + dropped) if dropped else view


def _is_untrue(order: Order, known: Order | None) -> bool:
    lasting = (order.symbol, order.side, order.client_order_id)
    changed = known is not None and lasting != (known.symbol, known.side, known.client_order_id)
    return order.status.terminal or changed


def catch_up(
    reader: BrokerReader, ledger: Ledger, open_orders: Sequence[Order], session: date, now: datetime
) -> CaughtUp:
    """Apply the venue's facts to the ledger; this only reads the venue and only appends what it reported."""
    # Read everything before the first write, so that a halt never waits for the ledger while we ask the venue.
    working = ledger.orders(working=True)
    news = _news((_in_time(order, now) for order in latest_orders(reader, working, open_orders)), working)
    changed = _apply(ledger, news, now)
    unsettled = _look_up(reader, ledger, session, now)
    fills, unreadable = new_fills(reader, ledger, now)
    if _perhaps_ours(unsettled, fills):
        # An unresolved order may have arrived and filled since we looked it up.
        unsettled = _look_up(reader, ledger, session, now)
        fills, unreadable = new_fills(reader, ledger, now)
    with_others = ledger.fills_with_others()
    foreign = {o.fill.venue_order_id for o in (*with_others, *fills) if o.strategy == FOREIGN}
    behind = orders_and_intents(ledger, foreign - {""})
    others, untraced_fills = find_orders_behind_fills(reader, behind, (*with_others, *fills))
    if others:
        ledger.apply_orders(others, now)
        behind = orders_and_intents(ledger, {owned.fill.venue_order_id for owned in (*with_others, *fills)})
        fills = tuple(owned_fills(behind, (owned.fill for owned in fills)))
    found = (*fills, *_reassignments(behind, with_others))
    if found:
        ledger.apply_fills(found, now)
    ledger.keep_totals()
    unresolved = tuple(record for record in unsettled if record.state.unresolved)
    unfilled = tuple(order for order in news if order.status.terminal and order.quantity != order.filled_quantity)
    moved = tuple(_moved(news, working))
    return CaughtUp(changed, len(fills), unresolved, unreadable, untraced_fills, unfilled, moved)


def _apply(ledger: Orders, news: Collection[Order], now: datetime) -> int:
    """Write news of orders; return how many changed. What the venue rejects late is refused, though it was accepted."""
    late = {order.client_order_id: reply for order in news if (reply := outcome_of(order)).code == REFUSED_LATE}
    refused = ledger.promised(late) if late else {}
    for name in refused:
        ledger.settle(name, late[name], now)
    return len(refused) + (ledger.apply_orders(news, now) if news else 0)


def _news(latest: Iterable[Order], working: Iterable[Order]) -> tuple[Order, ...]:
    """Return the reported orders without those that we already know as they are."""
    known = {order.venue_id: order for order in working}
    told = (order.with_known(known.get(order.venue_id)) for order in latest)
    return tuple(order for order in told if order != known.get(order.venue_id))


def _moved(news: Iterable[Order], working: Iterable[Order]) -> Iterator[MovedStop]:
    known = {order.venue_id: order for order in working if order.stop_price}
    for order in news:
        before = known.get(order.venue_id)
        if before and order.stop_price not in (None, before.stop_price) and not order.status.terminal:
            yield MovedStop(before, order)


def _look_up(reader: BrokerReader, ledger: Ledger, session: date, now: datetime) -> Sequence[IntentRecord]:
    """Settle what the venue knows by now of unresolved and abandoned intents; return those that stay unsettled."""
    unsettled = ledger.unsettled_intents(session - WATCHED)
    settled = _resolve(reader, ledger, [record for record in unsettled if record.state.unresolved], session, now)
    # What was given up just now is asked about once more.
    unsettled = ledger.unsettled_intents(session - WATCHED) if settled else unsettled
    back = _watch(reader, ledger, unsettled, now)
    return ledger.unsettled_intents(session - WATCHED) if back else unsettled


def _resolve(
    reader: BrokerReader, ledger: Ledger, unknown: Sequence[IntentRecord], session: date, now: datetime
) -> bool:
    """Find out what became of each unresolved intent: look up orders by id, and changes by the order they change.

    If the venue doesn't know an order, that proves nothing while it may still arrive. A DAY order of an earlier session
    is abandoned but still watched. Returns True if anything was written.
    """
    written = False
    # Read these before looking up the ids: nothing can replace an order that had already ended by then.
    known = _targets(ledger, unknown) if unknown else {}
    for record in unknown:
        intent = record.intent
        try:
            outcome = _outcome(reader, intent, known)
        except TemporaryError:
            # A lookup without an answer settles nothing, so the next pass asks again.
            continue
        if outcome is not None:
            whole = _with_legs(reader, outcome)
            if whole is not None:
                ledger.settle(intent.client_order_id, whole, now)
                written = True
        elif intent.session < session:
            ledger.abandon(intent.client_order_id, "the broker does not know it and its session is over", now)
            written = True
    return written


def _targets(ledger: Ledger, unknown: Iterable[IntentRecord]) -> Mapping[str, Order]:
    """Return the orders that these intents change, and those that replaced them, by the venue's id."""
    targets = known_orders(ledger, {r.intent.target_venue_id for r in unknown if r.intent.target_venue_id})
    followers = known_orders(ledger, {order.replaced_by for order in targets.values() if order.replaced_by})
    return {**targets, **followers}


def _outcome(reader: BrokerReader, intent: Intent, known: Mapping[str, Order]) -> Reply | None:
    """Return what is proven about an unresolved intent; `known` holds the orders it may be about by the venue's id.

    An order missing from the books isn't open at the venue either, so it has ended.
    """
    target = known.get(intent.target_venue_id or "")
    if intent.operation is Operation.CANCEL:
        ending = target is None or target.status.terminal or target.status is OrderStatus.PENDING_CANCEL
        return Reply(Outcome.ACCEPTED, message="its status shows it") if ending else None
    order = reader.order(intent.client_order_id)
    if order is not None:
        return _found(order, intent)
    if intent.operation is Operation.REPLACE and _ended_otherwise(target, known):
        return Reply(Outcome.REJECTED, code=TARGET_DONE, message="the order that it was to replace has ended")
    return None


def _ended_otherwise(target: Order | None, known: Mapping[str, Order]) -> bool:
    """Return True if an order has ended for another reason than a replace that the venue doesn't know.

    A replaced order may have been replaced by that very request, unless another order is known to have taken its place.
    """
    if target is None or target.status is not OrderStatus.REPLACED:
        return target is None or target.status.terminal
    return target.replaced_by in known


def _watch(reader: BrokerReader, ledger: Orders, unsettled: Iterable[IntentRecord], now: datetime) -> bool:
    """Take back an abandoned order that has arrived after all, so that its fills count as ours; True if one has."""
    written = False
    for record in unsettled:
        if record.state is IntentState.ABANDONED and record.intent.makes_order:
            order = reader.order(record.intent.client_order_id)
            if order is not None:
                outcome = _with_legs(reader, _found(order, record.intent))
                if outcome is not None:
                    ledger.settle(record.intent.client_order_id, outcome, now)
                    written = True
    return written


def _with_legs(reader: BrokerReader, found: Reply) -> Reply | None:
    """Return the reply with the legs of the order in it, which a lookup by our id leaves out.

    None if the venue doesn't answer and the order has ended; while it works, its legs are listed with it.
    """
    if found.order is None or not found.order.leads_pair or found.outcome is not Outcome.ACCEPTED:
        return found
    legs = _legs(reader, found.order.venue_id)
    if legs is None:
        return None if found.order.status.terminal else found
    return replace(found, legs=tuple(legs))


def _found(order: Order, intent: Intent) -> Reply:
    """Return the outcome if an order exists under an intent's id: it is ours if it is what we asked for."""
    if intent.asked_for(order):
        return outcome_of(order)
    return Reply(Outcome.REJECTED, order, ID_CONFLICT, "another order holds this client order id")


def latest_orders(reader: BrokerReader, working: Sequence[Order], open_orders: Sequence[Order]) -> Iterator[Order]:
    """Yield the venue's open orders, then those of the `working` ones that the venue no longer lists as open."""
    yield from open_orders
    listed = {order.venue_id for order in open_orders}
    gone = [order for order in working if order.venue_id not in listed]
    ended, led = _ended(reader, gone), {order.parent for order in (*working, *open_orders)}
    for order in open_orders:
        # A list may leave out a stop that works.
        if order.leads_pair and order.venue_id not in led and is_marked(order.client_order_id):
            yield from _legs(reader, order.venue_id) or ()
    for order in gone:
        latest = ended.get(order.venue_id) or _looked_up(reader, order.client_order_id)
        # If its stop was never reported, that may be what has filled.
        untold = latest is not None and latest.leads_pair and order.venue_id not in led
        legs = _legs(reader, order.venue_id) if untold else ()
        if latest is not None and legs is not None:
            yield latest
            yield from _followers(reader, latest, listed)
            yield from legs


def _in_time(order: Order, now: datetime) -> Order:
    """Return the order without its last-change time if that is impossibly late: it would outrank all later news."""
    changed_at = order.updated_at
    return replace(order, updated_at=None) if changed_at and is_ahead(changed_at, order.submitted_at, now) else order


def _looked_up(reader: BrokerReader, client_order_id: str) -> Order | None:
    """Return an order by its id; None if the venue has none or doesn't answer, which doesn't prove that it ended."""
    try:
        return reader.order(client_order_id)
    except TemporaryError:
        return None


def _legs(reader: BrokerReader, venue_id: str) -> Sequence[Order] | None:
    """Return an order's legs, or None if the venue doesn't answer; then nothing is known of the order's end either.

    An order that has ended is never asked about again, so its legs would stay unknown, and a fill of theirs foreign.
    """
    try:
        return reader.legs(venue_id)
    except TemporaryError:
        return None


def may_fill(books: Books, session: date) -> tuple[Order, ...]:
    """Return our orders that may still fill: an omission from a list doesn't prove that an order has ended.

    One of our orders has ended once the venue says so about that order, or once the session of its DAY order is over.
    An order that replaced our order counts as ours.
    """
    ours = (order for order in books.working if books.intent_behind(order))
    return tuple(order for order in ours if not _outlived(order, books.promised.get(order.client_order_id), session))


def omitted_orders(orders: Iterable[Order], listed: Iterable[Order]) -> tuple[Order, ...]:
    there = {order.venue_id for order in listed}
    return tuple(order for order in orders if order.venue_id not in there)


def _outlived(order: Order, promised: IntentRecord | None, session: date) -> bool:
    if order.time_in_force is not TimeInForce.DAY or promised is None:
        return False
    # A pass that slept overnight between its claim and the send uses an id from the day before.
    began = order.submitted_at.date() if order.submitted_at else promised.intent.session
    return began < session


def _ended(reader: BrokerReader, gone: Sequence[Order]) -> Mapping[str, Order]:
    """Return ended orders by the venue's id from one list; it saves one request per order when there are many."""
    since = min((order.submitted_at for order in gone if order.submitted_at), default=None)
    if since is None or len(gone) <= LOOKED_UP_SINGLY:
        return {}
    return {order.venue_id: order for order in reader.ended(since)}


def _followers(reader: BrokerReader, order: Order, listed: Collection[str]) -> Iterator[Order]:
    """Yield the orders that replaced this one, in sequence, stopping at one that is open and therefore known."""
    for _ in range(LONGEST_CHAIN):
        if order.replaced_by is None or order.replaced_by in listed:
            return
        follower = reader.follower(order.replaced_by)
        if follower is None:
            return
        yield follower
        order = follower


def _perhaps_ours(unsettled: Iterable[IntentRecord], fills: Iterable[OwnedFill]) -> bool:
    """Return True if an unexplained fill may belong to one of our unresolved or abandoned orders."""
    foreign = {owned.fill.symbol for owned in fills if owned.strategy == FOREIGN}
    lost = (record.intent for record in unsettled if record.intent.makes_order)
    return any(intent.instrument.symbol in foreign for intent in lost)


def _reassignments(behind: OrdersBehind, fills: Sequence[OwnedFill]) -> Iterator[OwnedFill]:
    """Yield the pairs that move foreign fills to the owner of their order, who wasn't known when they were applied.

    Symbols that a plan or an adoption has settled since are left as the person settled them.
    """
    done = reassigned_ids(fills)
    for fill in (owned.fill for owned in fills if owned.strategy == FOREIGN):
        owner = behind.owner(fill.venue_order_id)
        if owner != FOREIGN and fill.activity_id not in done and not _settled_since(fills, fill):
            yield from reassign(owner, fill)


def reassign(owner: str, fill: Fill) -> Iterator[OwnedFill]:
    """Yield the pair of fills that moves a foreign fill to its owner, at the time and price of the trade."""
    name, change, source = f"owned:{fill.activity_id}", fill.signed_quantity, (Origin.GIVEN_BACK, fill.activity_id)
    yield unreported_fill(FOREIGN, f"{name}:from", fill.symbol, -change, fill.price, fill.at, *source)
    yield unreported_fill(owner, f"{name}:to", fill.symbol, change, fill.price, fill.at, *source)


def reassigned_ids(fills: Iterable[OwnedFill]) -> frozenset[str]:
    """Return the ids of the foreign fills that were moved to their owners."""
    return frozenset(o.about for o in fills if o.origin is Origin.GIVEN_BACK and o.strategy != FOREIGN)


def _settled_since(fills: Iterable[OwnedFill], fill: Fill) -> bool:
    foreign = (owned for owned in fills if owned.strategy == FOREIGN and owned.origin is not Origin.GIVEN_BACK)
    made = (owned.fill for owned in foreign if not owned.fill.venue_order_id)
    return any(one.symbol == fill.symbol and one.at >= fill.at for one in made)
