"""Facts apply by themselves: what the venue has done to our orders, written into the ledger before anyone decides."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from tradebot.missing import WATCHED
from tradebot.model.candidate import Side
from tradebot.model.intent import ID_CONFLICT, TARGET_DONE, Intent, IntentRecord, IntentState, Operation
from tradebot.model.order import Fill, Order, OrderStatus, Outcome, Reply
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.ports import BrokerReader, Ledger
from tradebot.strangers import behind

LOOKED_UP_SINGLY = 5
"""More orders than so many that ended while nobody looked are read from a list of all that did."""

LONGEST_CHAIN = 100
"""After so many replacements of one order the rest of them is left to the next look."""

FILL_OVERLAP = WATCHED
"""Fills are asked for again from so long before the last known one, and known by their ids.

The venue may list one late, or in a row that cannot be read today. Commonly it is one page all the same.
"""

GIVEN_BACK = "owned:"
"""Begins the ids of the fills that give a fill to its owner, where it was foreign before its order was known."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What catching up changed: counts, and the intents whose fate is still unknown.

    `unreadable` counts the venue's rows of fills that could not be read.
    """

    orders: int
    fills: int
    unresolved: tuple[IntentRecord, ...]
    unreadable: int = 0


def catch_up(
    reader: BrokerReader, ledger: Ledger, open_orders: Sequence[Order], session: date, now: datetime
) -> CaughtUp:
    """Apply the venue's facts to the ledger; it only reads the venue and only appends what the venue said."""
    # Read to the end before the first write: no halt waits for the ledger while the venue is being asked.
    latest = tuple(_latest_orders(reader, ledger, open_orders))
    changed = ledger.apply_orders(latest, now)
    _resolve(reader, ledger, session, now)
    _watch(reader, ledger, session, now)
    told = unapplied(reader, ledger)
    if _perhaps_ours(ledger, told, session):
        # An order of unknown fate may have arrived, and filled, since it was looked up.
        _resolve(reader, ledger, session, now)
        _watch(reader, ledger, session, now)
        told = unapplied(reader, ledger)
    unreadable = reader.unreadable_fills
    others = tuple(behind(reader, ledger, (*ledger.fills(), *told), now))
    if others:
        ledger.apply_orders(others, now)
        told = tuple(_owned(ledger, (owned.fill for owned in told)))
    ledger.apply_fills((*told, *_given_back(ledger)), now)
    return CaughtUp(changed, len(told), tuple(ledger.intents(unresolved=True)), unreadable)


def _resolve(reader: BrokerReader, ledger: Ledger, session: date, now: datetime) -> None:
    """Look for the fate of each intent that is unknown: of an order by its id, of a change by the order it changes.

    Not finding it proves nothing while it may still arrive; a DAY order of an earlier session is given up, and watched.
    """
    unknown = ledger.intents(unresolved=True)
    # Read before the ids are looked up: nothing can follow an order that had ended by then.
    targets = {order.venue_id: order for order in ledger.orders()} if unknown else {}
    for record in unknown:
        intent = record.intent
        fate = _fate(reader, intent, targets)
        if fate is not None:
            ledger.settle(intent.client_order_id, fate, now)
        elif intent.key.session < session:
            ledger.abandon(intent.client_order_id, "the venue does not know it and its session is over", now)


def _fate(reader: BrokerReader, intent: Intent, known: Mapping[str, Order]) -> Reply | None:
    """Return what is proven of an intent of unknown fate; `known` holds all orders by the venue's id.

    An order that is not in the books is not open at the venue either: it has ended.
    """
    target = known.get(intent.target_venue_id or "")
    if intent.operation is Operation.CANCEL:
        ending = target is None or target.status.terminal or target.status is OrderStatus.PENDING_CANCEL
        return Reply(Outcome.ACCEPTED, message="the order itself tells") if ending else None
    order = reader.order(intent.client_order_id)
    if order is not None:
        return _found(order, intent)
    if intent.operation is Operation.REPLACE and _ended_otherwise(target, known):
        return Reply(Outcome.REJECTED, code=TARGET_DONE, message="the order that it was to replace has ended")
    return None


def _ended_otherwise(target: Order | None, known: Mapping[str, Order]) -> bool:
    """Tell whether an order has ended, and not by the replace that the venue does not know.

    One that was replaced may have been so by that very request, unless another order is known to have its place.
    """
    if target is None or target.status is not OrderStatus.REPLACED:
        return target is None or target.status.terminal
    return target.replaced_by in known


def _watch(reader: BrokerReader, ledger: Ledger, session: date, now: datetime) -> None:
    """Take back an order that was given up and has arrived after all, so that its fills are known as ours."""
    for record in ledger.intents():
        given_up = record.state is IntentState.ABANDONED and record.intent.makes_order
        if given_up and record.intent.key.session >= session - WATCHED:
            order = reader.order(record.intent.client_order_id)
            if order is not None:
                ledger.settle(record.intent.client_order_id, _found(order, record.intent), now)


def _found(order: Order, intent: Intent) -> Reply:
    """Return what finding an order under an intent's id proves: ours where it is what we asked for."""
    if intent.asked_for(order):
        return Reply(Outcome.ACCEPTED, order)
    return Reply(Outcome.REJECTED, order, ID_CONFLICT, "another order holds this client order id")


def _latest_orders(reader: BrokerReader, ledger: Ledger, open_orders: Sequence[Order]) -> Iterator[Order]:
    """Yield the venue's open orders, then those that we think are working and the venue no longer lists as open."""
    yield from open_orders
    listed = {order.venue_id for order in open_orders}
    gone = [order for order in ledger.orders(working=True) if order.venue_id not in listed]
    ended = _ended(reader, gone)
    for order in gone:
        latest = ended.get(order.venue_id) or reader.order(order.client_order_id)
        if latest is not None:
            yield latest
            yield from _followers(reader, latest, listed)


def _ended(reader: BrokerReader, gone: Sequence[Order]) -> Mapping[str, Order]:
    """Return by the venue's id what a list can tell of many orders at once; a single one costs a request each."""
    since = min((order.submitted_at for order in gone if order.submitted_at), default=None)
    if since is None or len(gone) <= LOOKED_UP_SINGLY:
        return {}
    return {order.venue_id: order for order in reader.ended(since)}


def _followers(reader: BrokerReader, order: Order, listed: Collection[str]) -> Iterator[Order]:
    """Yield what took an order's place, one after the other, up to one that is open and so is known already."""
    for _ in range(LONGEST_CHAIN):
        if order.replaced_by is None or order.replaced_by in listed:
            return
        follower = reader.follower(order.replaced_by)
        if follower is None:
            return
        yield follower
        order = follower


def _perhaps_ours(ledger: Ledger, fills: Sequence[OwnedFill], session: date) -> bool:
    """Tell whether a fill that no order of ours explains may be of one whose fate is unknown, or that was given up."""
    foreign = {owned.fill.symbol for owned in fills if owned.strategy == FOREIGN}
    lost = (IntentState.SENT, IntentState.UNKNOWN, IntentState.ABANDONED)
    promised = (record for record in ledger.intents() if record.state in lost) if foreign else ()
    recent = (r.intent for r in promised if r.intent.makes_order and r.intent.key.session >= session - WATCHED)
    return any(intent.instrument.symbol in foreign for intent in recent)


def _given_back(ledger: Ledger) -> Iterator[OwnedFill]:
    """Yield the pairs that give foreign fills to the owner of their order, which was not known when they were applied.

    Where a plan or an adoption has settled what is foreign since, it is left as a person settled it.
    """
    fills = ledger.fills()
    foreign = [owned.fill for owned in fills if owned.strategy == FOREIGN]
    strategies = owners(ledger) if foreign else {}
    done = {owned.fill.activity_id for owned in fills}
    for fill in foreign:
        owner, name = strategies.get(fill.venue_order_id), f"{GIVEN_BACK}{fill.activity_id}"
        if owner is None or f"{name}:to" in done or _settled_since(foreign, fill):
            continue
        opposite = Side.SELL if fill.side is Side.BUY else Side.BUY
        yield OwnedFill(FOREIGN, replace(fill, activity_id=f"{name}:from", venue_order_id="", side=opposite))
        yield OwnedFill(owner, replace(fill, activity_id=f"{name}:to", venue_order_id=""))


def _settled_since(foreign: Sequence[Fill], fill: Fill) -> bool:
    made = (one for one in foreign if not one.venue_order_id and not one.activity_id.startswith(GIVEN_BACK))
    return any(one.symbol == fill.symbol and one.at >= fill.at for one in made)


def unapplied(reader: BrokerReader, ledger: Ledger) -> tuple[OwnedFill, ...]:
    """Return the venue's fills that the books do not hold yet, each with its owner by what the books know."""
    known = {owned.fill.activity_id for owned in ledger.fills()}
    new = [fill for fill in reader.fills(_fills_since(ledger)) if fill.activity_id not in known]
    return tuple(_owned(ledger, new)) if new else ()


def _fills_since(ledger: Ledger) -> datetime | None:
    # Only what the venue told counts: a fill that a person or an activity wrote says nothing of what it has listed.
    told = [owned.fill.at for owned in ledger.fills() if owned.fill.venue_order_id]
    opened = ledger.books_opened_at()
    if not told or opened is None:
        return opened
    return max(opened, max(told) - FILL_OVERLAP)


def _owned(ledger: Ledger, fills: Iterable[Fill]) -> Iterator[OwnedFill]:
    """Name the owner of each fill through its order and the intent behind it; others' fills are foreign."""
    strategies = owners(ledger)
    for fill in fills:
        yield OwnedFill(strategies.get(fill.venue_order_id, FOREIGN), fill)


def owners(ledger: Ledger) -> Mapping[str, str]:
    """Return the strategy of each of our orders by the venue's order id, whoever replaced them since."""
    by_client_id = {
        record.intent.client_order_id: record.intent.key.strategy
        for record in ledger.intents()
        if record.intent.makes_order
    }
    orders = ledger.orders()
    owned = {o.venue_id: by_client_id[o.client_order_id] for o in orders if o.client_order_id in by_client_id}
    following = {order.venue_id: order.replaced_by for order in orders if order.replaced_by}
    for first, strategy in list(owned.items()):
        follower = following.get(first)
        while follower is not None and follower not in owned:
            owned[follower] = strategy
            follower = following.get(follower)
    return owned
