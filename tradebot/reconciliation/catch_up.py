"""Catch up: write the venue's changes to our orders into the ledger before anyone makes a decision."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.errors import TemporaryError, TradebotError
from tradebot.model.account import BrokerView
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.instrument import ONE, notional
from tradebot.model.intent import REFUSED_LATE, IntentRecord, is_our_order_id, outcome_of
from tradebot.model.order import Fill, Order, OrderStatus
from tradebot.model.position import FOREIGN, Origin, OwnedFill, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger, Orders, Slots
from tradebot.reconciliation.new_fills import (
    ASKED_SINGLY,
    WATCHED,
    Liquidated,
    OrderOwners,
    find_liquidations,
    find_orders_behind_fills,
    is_ahead,
    is_waiting,
    liquidated_lots,
    new_fills,
    orders_and_intents,
)
from tradebot.reconciliation.unresolved_requests import legs_of, look_up

MISSING_ORDER = "left out"
"""The name of the claim that records a missing order, at the first pass of a day that misses it.

Timetable entries have no space in their names.
"""
ENDED_IF_MISSING_FOR = timedelta(minutes=15)
"""How long an order has to be missing before it counts as ended: a gateway that just started needs some minutes."""
LONGEST_CHAIN = 100
"""How many replacements of one order a pass follows, at most. The next pass follows the rest."""


class MovedStop(NamedTuple):
    """An order whose stop price the venue changed itself; a change by the bot would have created another order."""

    before: Order
    now: Order


class CatchUpResult(Struct, frozen=True):
    """What catching up has changed, as counts, and the intents that are still unresolved.

    `unreadable` counts the venue's rows of fills that couldn't be parsed or accepted. `untraced_fills` counts the
    orders behind foreign fills for which the venue hasn't answered yet. `unfilled` are the orders that turned out to
    have ended with unfilled shares, `moved` the resting orders whose stop price the venue itself has changed, and
    `liquidated` the positions that the venue itself has closed.
    """

    orders: int
    fills: int
    unresolved: tuple[IntentRecord, ...]
    unreadable: int = 0
    untraced_fills: int = 0
    unfilled: tuple[Order, ...] = ()
    moved: tuple[MovedStop, ...] = ()
    liquidated: tuple[Liquidated, ...] = ()

    def after(self, earlier: "CatchUpResult") -> "CatchUpResult":
        """Combine two results; unresolved and unreadable items come from the later one."""
        return replace(
            self,
            orders=earlier.orders + self.orders,
            fills=earlier.fills + self.fills,
            unfilled=earlier.unfilled + self.unfilled,
            moved=earlier.moved + self.moved,
            liquidated=earlier.liquidated + self.liquidated,
        )


def read_view(reader: BrokerReader, ledger: Orders) -> BrokerView:
    """Return the venue's view, leaving out orders that contradict what we know; those are looked up by their ids later.

    An order that has ended can't be open again, and an order never changes its symbol, side or id, though a report may
    lack the client order id. If a report lacks the size or the parent, it is filled in from what we know.
    """
    view = reader.view()
    working = {order.venue_id: order for order in ledger.orders(working=True)}
    orders = tuple(
        order.with_known(working.get(order.venue_id))
        for order in view.orders
        if not _is_impossible(order, working.get(order.venue_id))
    )
    return replace(view, orders=orders, unreadable=view.unreadable + len(view.orders) - len(orders))


def _is_impossible(order: Order, stored: Order | None) -> bool:
    if stored is None:
        return order.status.terminal
    name = stored.client_order_id or order.client_order_id
    changed = (order.symbol, order.side, order.client_order_id) != (stored.symbol, stored.side, name)
    return order.status.terminal or changed


def catch_up(
    reader: BrokerReader,
    ledger: Ledger,
    open_orders: Sequence[Order],
    now: datetime,
    earlier_now: datetime,
    list_complete_at: datetime | None = None,
) -> CatchUpResult:
    """Write the venue's reports, and what follows from them, into the ledger; send nothing to the venue.

    `now` is the venue's time. `earlier_now` is the earlier time of the two clocks, so that no order looks expired
    because one clock is fast. The venue made its list of open orders at `list_complete_at`, which is None if the list
    may be incomplete.
    """
    working = ledger.orders(working=True)
    # Query all orders before recording them, and hold no transaction during a query, so that a halt never has to wait
    # for the ledger during a slow reply. The last two functions yield conclusions rather than reports: an order's
    # absence shows that it has ended.
    reported = (
        *latest_orders(reader, working, open_orders),
        *_orders_dropped_by_venue(reader, ledger, working, open_orders, now),
        *_orders_missing_from_history(reader, ledger, working, open_orders, now, list_complete_at),
    )
    changed = _changed_orders((_without_future_time(order, now) for order in reported), working)
    n_orders = _record_orders(ledger, changed, now)

    # Abandoned intents are unsettled too, because they might still arrive, but they aren't returned as unresolved.
    unsettled, fills, unreadable = _look_up_and_read_fills(reader, ledger, now, earlier_now)
    booked = ledger.foreign_and_moved_fills()
    owners, fills, untraced = _trace_foreign_fills(reader, ledger, booked, fills, now)
    reassigned = tuple(_reassignments(owners, booked))
    liquidations = tuple(_liquidations(reader, ledger, booked, (*fills, *reassigned)))
    if new_rows := (*fills, *reassigned, *liquidations):
        ledger.apply_fills(new_rows, now)
    if filled := tuple(_orders_with_all_fills_booked(ledger)):
        n_orders += ledger.apply_orders(filled, now)
    ledger.checkpoint_totals()

    return CatchUpResult(
        orders=n_orders,
        fills=len(fills),
        unresolved=tuple(record for record in unsettled if record.state.is_unresolved),
        unreadable=unreadable,
        untraced_fills=untraced,
        unfilled=tuple(order for order in changed if _ended_unfilled(order)),
        moved=tuple(_moved_stops(changed, working)),
        liquidated=tuple(find_liquidations(fills, liquidations)),
    )


def _look_up_and_read_fills(
    reader: BrokerReader, ledger: Ledger, now: datetime, earlier_now: datetime
) -> tuple[Sequence[IntentRecord], Sequence[OwnedFill], int]:
    """Look up intents without a known outcome and read the new fills; return both, and how many rows were unreadable.

    An order may arrive and fill between the two reads. If an unowned fill could belong to such an order, both are read
    again.
    """
    unsettled = look_up(reader, ledger, now, earlier_now)
    fills, unreadable = new_fills(reader, ledger, now)
    if _may_own(unsettled, fills):
        unsettled = look_up(reader, ledger, now, earlier_now)
        fills, unreadable = new_fills(reader, ledger, now)
    return unsettled, fills, unreadable


def _trace_foreign_fills(
    reader: BrokerReader, ledger: Ledger, booked: Sequence[OwnedFill], fills: Sequence[OwnedFill], now: datetime
) -> tuple[OrderOwners, Sequence[OwnedFill], int]:
    """Look up the orders behind foreign fills and record them.

    Return the owners of orders, the new fills with their owners, and about how many orders the venue hasn't replied
    yet.
    """
    both = (*booked, *fills)
    foreign = {owned.fill.venue_order_id for owned in both if owned.strategy == FOREIGN}
    owners = orders_and_intents(ledger, foreign - {""})
    found_orders, untraced = find_orders_behind_fills(reader, owners, both)
    if found_orders:
        ledger.apply_orders(found_orders, now)
        owners = orders_and_intents(ledger, {owned.fill.venue_order_id for owned in both})
        fills = tuple(OwnedFill(owners.owner(owned.fill.venue_order_id), owned.fill) for owned in fills)
    return owners, fills, untraced


def _orders_with_all_fills_booked(ledger: Ledger) -> Iterator[Order]:
    """Yield, as filled, the working orders whose shares are all in the books, whatever the venue's list says.

    Such an order has nothing left to fill. Otherwise, an exit would wait until an outdated list is updated.
    """
    working = ledger.orders(working=True)
    booked = ledger.filled_quantities({order.venue_id for order in working}) if working else {}
    for order in working:
        if not order.quantity or booked.get(order.venue_id, 0) < order.quantity:
            continue
        of_symbol = (owned.fill for owned in ledger.fills(order.symbol))
        fills = [fill for fill in of_symbol if (fill.venue_order_id, fill.side) == (order.venue_id, order.side)]
        quantity = sum((fill.quantity for fill in fills), Decimal(0))
        if quantity >= order.quantity:
            paid = sum((notional(fill.quantity, fill.price, ONE) for fill in fills), Decimal(0)) / quantity
            at = max(fill.at for fill in fills)
            over = replace(order, status=OrderStatus.FILLED, filled_quantity=order.quantity, updated_at=at)
            yield replace(over, filled_average_price=paid)


def _record_orders(ledger: Orders, changed: Collection[Order], now: datetime) -> int:
    """Record changed orders, and the outcome of requests that were accepted and then rejected; return how many."""
    late = {order.client_order_id: reply for order in changed if (reply := outcome_of(order)).code == REFUSED_LATE}
    refused = ledger.recorded_intents(late) if late else {}
    for client_order_id in refused:
        ledger.record_outcome(client_order_id, late[client_order_id], now)
    return len(refused) + (ledger.apply_orders(changed, now) if changed else 0)


def _changed_orders(reported: Iterable[Order], working: Iterable[Order]) -> tuple[Order, ...]:
    """Return the reported orders that differ from what is in the ledger."""
    known_by_id = {order.venue_id: order for order in working}
    completed = (order.with_known(known_by_id.get(order.venue_id)) for order in reported)
    return tuple(order for order in completed if order != known_by_id.get(order.venue_id))


def _moved_stops(changed: Iterable[Order], working: Iterable[Order]) -> Iterator[MovedStop]:
    known_by_id = {order.venue_id: order for order in working if order.stop_price}
    for order in changed:
        before = known_by_id.get(order.venue_id)
        if before and order.stop_price not in (None, before.stop_price) and not order.status.terminal:
            yield MovedStop(before, order)


def _ended_unfilled(order: Order) -> bool:
    """Return True if an order is known to have ended with shares left to fill."""
    has_known_end = order.status.terminal and order.status is not OrderStatus.ENDED
    return has_known_end and order.quantity != order.filled_quantity


def latest_orders(reader: BrokerReader, working: Sequence[Order], open_orders: Sequence[Order]) -> Iterator[Order]:
    """Yield the venue's open orders, then the `working` orders that the venue no longer lists as open."""
    yield from open_orders
    listed_ids = {order.venue_id for order in open_orders}
    gone = [order for order in working if order.venue_id not in listed_ids]
    parents = {order.parent for order in (*working, *open_orders)}
    for order in open_orders:
        # The list may omit a working stop that is a leg of a listed order.
        if order.has_legs and order.venue_id not in parents and is_our_order_id(order.client_order_id):
            yield from legs_of(reader, order.venue_id) or ()
    for order, latest in _query_orders(reader, gone):
        # If the stop of this order was never reported, it may have filled meanwhile.
        lacks_legs = latest is not None and latest.has_legs and order.venue_id not in parents
        legs = legs_of(reader, order.venue_id) if lacks_legs else ()
        if latest is not None and legs is not None:
            yield latest
            yield from _followers(reader, latest, listed_ids)
            yield from legs


def _orders_dropped_by_venue(
    reader: BrokerReader, ledger: Ledger, working: Sequence[Order], open_orders: Sequence[Order], now: datetime
) -> Iterator[Order]:
    """Yield as ended the working orders that are unknown to a venue which reports only today's ended orders.

    If books and broker were compared today, an order that ended since would be among today's, so its absence proves
    nothing. If a second close could reverse an open position, one list that omits the closing order isn't enough: the
    first omission is recorded, and only another one some minutes later counts.
    """
    mark, day = ledger.last_reconcile(), reader.capabilities.day
    if not reader.capabilities.forgets or mark is None:
        return
    today = day.date_of(now)
    omitted = [order for order in omitted_orders(working, open_orders) if not _was_sent_on(day, order, today)]
    is_first_look = day.date_of(mark.at) < today
    omitted_for = _omitted_for(ledger, today, now) if omitted else {}
    for order in omitted:
        missing_for = omitted_for.get(order.venue_id)
        if not is_first_look and missing_for is None:
            continue
        with suppress(TemporaryError):
            if reader.follower(order.venue_id) is not None:
                continue
            is_over = missing_for is not None and missing_for >= ENDED_IF_MISSING_FOR
            if reader.capabilities.reduce_only or not _would_close(reader, order) or is_over:
                yield replace(order, status=OrderStatus.ENDED)
            elif missing_for is None:
                ledger.claim_slot(MISSING_ORDER, today, order.venue_id, MISSING_ORDER, now)


def _orders_missing_from_history(
    reader: BrokerReader,
    ledger: Orders,
    working: Sequence[Order],
    listed: Sequence[Order],
    now: datetime,
    list_complete_at: datetime | None,
) -> Iterator[Order]:
    """Yield as ended the working orders that a current list omits while the venue's history lags behind.

    A later report of such an order replaces this conclusion. Entries are never among them: the list may have left one
    out by mistake, and then a second entry would be sent. For 15 minutes after an order was concluded to have ended, a
    missing stop or target in its symbol counts as ended only if the list shows a later order of ours. Otherwise, a list
    that keeps lagging would make the bot send one stop after another.
    """
    told_after, omitted = reader.capabilities.tells_ends_after, omitted_orders(working, listed)
    is_old = list_complete_at is None or now - list_complete_at > told_after
    if not (omitted and reader.capabilities.ends_in_history) or is_old:
        return
    submit_times = (
        order.submitted_at for order in listed if order.submitted_at and is_our_order_id(order.client_order_id)
    )
    newest, recently_concluded = max(submit_times, default=None), _concluded_symbols(ledger, now - ENDED_IF_MISSING_FOR)
    for order in omitted:
        moment = max(filter(None, (order.updated_at, order.submitted_at)), default=None)
        if moment is None or now - moment < told_after:
            continue
        list_is_newer = newest is not None and order.submitted_at is not None and order.submitted_at < newest
        with suppress(TradebotError):
            behind = ledger.intent(order.client_order_id)
            if behind is None or behind.intent.purpose is Purpose.OPEN or reader.follower(order.venue_id) is not None:
                continue
            is_doubtful = behind.intent.protects and not list_is_newer and order.symbol in recently_concluded
            if not (is_doubtful and _would_close(reader, order)):
                yield replace(order, status=OrderStatus.ENDED)


def late_end_reports(reader: BrokerReader, ledger: Orders, now: datetime) -> Iterator[Order]:
    """Yield the venue's reports about orders that have ended and whose end the bot had only inferred."""
    if not reader.capabilities.ends_in_history:
        return
    for order in ledger.orders(since=now - WATCHED):
        if order.status is OrderStatus.ENDED:
            with suppress(TradebotError):
                latest = reader.follower(order.venue_id)
                if latest is not None and latest.status.terminal:
                    yield latest


def _concluded_symbols(ledger: Orders, since: datetime) -> frozenset[str]:
    """Return the symbols of orders whose end was concluded, not reported, since a time."""
    return frozenset(order.symbol for order in ledger.orders(since=since) if order.status is OrderStatus.ENDED)


def _was_sent_on(day: VenueDay, order: Order, today: date) -> bool:
    return order.submitted_at is not None and day.date_of(order.submitted_at) >= today


def _omitted_for(ledger: Slots, day: date, now: datetime) -> Mapping[str, timedelta]:
    """Return, by venue id, how long ago a list of this day first omitted each order; too long ago counts as never."""
    age_by_id = {claim.slot: now - claim.at for claim in ledger.slot_claims(day) if claim.job == MISSING_ORDER}
    return {venue_id: age for venue_id, age in age_by_id.items() if age < 2 * ENDED_IF_MISSING_FOR}


def _would_close(reader: BrokerReader, order: Order) -> bool:
    """Return True if an order would close a position that the venue holds."""
    position = reader.position(order.symbol)
    return position is not None and position.quantity * order.side.sign < 0


def _without_future_time(order: Order, now: datetime) -> Order:
    """Return the order without its last-change time if that is impossibly late.

    It would outrank all later reports.
    """
    changed_at = order.updated_at
    return replace(order, updated_at=None) if changed_at and is_ahead(changed_at, order.submitted_at, now) else order


def _query_order(reader: BrokerReader, order: Order) -> Order | None:
    """Return an order's state at the venue, queried by our id, or by the venue's if ours is missing or not unique.

    None doesn't prove that it ended. If the venue refuses to answer, the other sources still count.
    """
    client_order_id = order.client_order_id
    try:
        latest = reader.order(client_order_id) if client_order_id else None
        # If the venue knows no order with our id, None is the answer; a report on another order isn't one.
        is_answer = latest.venue_id == order.venue_id if latest else bool(client_order_id)
        return latest if is_answer else reader.follower(order.venue_id)
    except TradebotError:
        return None


def with_expired_orders(reader: BrokerReader, books: Books, earlier_now: datetime) -> Books:
    """Return the books with `over` set to our working orders that the adapter can prove to have expired."""
    over = [order.venue_id for order in books.working if _has_outlived(reader, books, order, earlier_now)]
    return replace(books, over=frozenset(over)) if over else books


def fillable_orders(books: Books) -> tuple[Order, ...]:
    """Return our orders that may still fill: missing from a list doesn't mean that an order has ended.

    An order has ended once the venue says so about that order, or once its time in force has passed. An order that
    replaced ours counts as ours.
    """
    return tuple(order for order in books.working if order.venue_id not in books.over and books.intent_behind(order))


def omitted_orders(orders: Iterable[Order], listed: Iterable[Order]) -> tuple[Order, ...]:
    """Return the orders that are missing from a list."""
    listed_ids = {order.venue_id for order in listed}
    return tuple(order for order in orders if order.venue_id not in listed_ids)


def _has_outlived(reader: BrokerReader, books: Books, order: Order, earlier_now: datetime) -> bool:
    record = books.intents_by_id.get(order.client_order_id)
    if record is None:
        return False
    dated = order if order.submitted_at else replace(order, submitted_at=record.intent.at)
    return bool(reader.has_outlived(dated, books.calendar, earlier_now))


def _query_orders(reader: BrokerReader, gone: Sequence[Order]) -> Iterator[tuple[Order, Order | None]]:
    """Yield the orders missing from the list of open ones, each with the venue's report on it, if any.

    If the report on an order doesn't show that it ended, the list of ended orders decides, because the report may be
    outdated.
    """
    ended_by_id = _query_ended(reader, gone) if len(gone) > ASKED_SINGLY else None
    for order in gone:
        latest = (ended_by_id or {}).get(order.venue_id) or _query_order(reader, order)
        if ended_by_id is None and not (latest and latest.status.terminal):
            with suppress(TradebotError):
                ended_by_id = _query_ended(reader, gone)
            latest = (ended_by_id or {}).get(order.venue_id, latest)
        yield order, latest


def _query_ended(reader: BrokerReader, gone: Sequence[Order]) -> Mapping[str, Order]:
    """Return ended orders from a single list, by venue id; this saves requests when there are many."""
    since = min((order.submitted_at for order in gone if order.submitted_at), default=None)
    return {} if since is None else {order.venue_id: order for order in reader.ended(since)}


def _followers(reader: BrokerReader, order: Order, listed: Collection[str]) -> Iterator[Order]:
    """Yield the orders that replaced this one, in sequence, until one is open and therefore known."""
    for _ in range(LONGEST_CHAIN):
        if order.replaced_by is None or order.replaced_by in listed:
            return
        follower = reader.follower(order.replaced_by)
        if follower is None:
            return
        yield follower
        order = follower


def _may_own(unsettled: Iterable[IntentRecord], fills: Iterable[OwnedFill]) -> bool:
    """Return True if a fill without an owner may belong to one of our unresolved or abandoned orders."""
    foreign_symbols = {owned.fill.symbol for owned in fills if owned.strategy == FOREIGN}
    intents = (record.intent for record in unsettled if record.intent.makes_order)
    return any(intent.instrument.symbol in foreign_symbols for intent in intents)


def _reassignments(owners: OrderOwners, booked: Sequence[OwnedFill]) -> Iterator[OwnedFill]:
    """Yield the pairs that move foreign fills to the owner of their order, unless a person has settled them since."""
    done, by_person = reassigned_ids(booked), fills_by_a_person(booked)
    for fill in (owned.fill for owned in booked if owned.strategy == FOREIGN):
        owner = owners.owner(fill.venue_order_id)
        if owner != FOREIGN and fill.activity_id not in done and not is_settled(fill, by_person):
            yield from reassign(owner, fill)


def _liquidations(
    reader: BrokerReader, ledger: Ledger, booked: Sequence[OwnedFill], new_rows: Sequence[OwnedFill]
) -> Iterator[OwnedFill]:
    """Yield the pairs that move liquidations and settlements to the strategies whose lots they closed."""
    liquidations = [owned.fill for owned in (*booked, *new_rows) if is_waiting(owned)]
    if liquidations:
        done, by_person = reassigned_ids(booked), fills_by_a_person(booked)
        waiting = [fill for fill in liquidations if fill.activity_id not in done and not is_settled(fill, by_person)]
        for number, part in enumerate(liquidated_lots(reader, ledger, new_rows, waiting)):
            yield from reassign(part.strategy, part.fill, f":{number}")


def reassign(owner: str, fill: Fill, part: str = "") -> Iterator[OwnedFill]:
    """Yield the pair of fills that moves a foreign fill to its owner, at the time and price of the trade.

    If a fill has several owners, each needs a different `part`.
    """
    activity_id, change = f"owned:{fill.activity_id}{part}", fill.signed_quantity
    of_trade, source = (fill.price, fill.multiplier, fill.at), (Origin.GIVEN_BACK, fill.activity_id)
    yield unreported_fill(FOREIGN, f"{activity_id}:from", fill.symbol, -change, *of_trade, *source)
    yield unreported_fill(owner, f"{activity_id}:to", fill.symbol, change, *of_trade, *source)


def reassigned_ids(fills: Iterable[OwnedFill]) -> frozenset[str]:
    """Return the ids of the foreign fills that were moved to their owners."""
    moved = (owned for owned in fills if owned.origin is Origin.GIVEN_BACK and owned.strategy != FOREIGN)
    return frozenset(owned.about for owned in moved)


def fills_by_a_person(fills: Iterable[OwnedFill]) -> list[Fill]:
    """Return the foreign fills made by a plan or an adoption, which no venue reported."""
    # The other half of a pair that moved a fill to its owner isn't a booking by a person.
    foreign = (owned for owned in fills if owned.strategy == FOREIGN and owned.origin is not Origin.GIVEN_BACK)
    return [owned.fill for owned in foreign if not (owned.fill.venue_order_id or owned.fill.by_venue)]


def is_settled(fill: Fill, by_person: Iterable[Fill]) -> bool:
    """Return True if a person has made a booking in the fill's symbol after the fill."""
    return any(settled.symbol == fill.symbol and settled.at >= fill.at for settled in by_person)
