"""Read the books once, so that a pass or a comparison works with one immutable value. Nothing here writes.

A pass writes what the venue reports, then reads the books once. Each order adds four calls: one to record its intent,
one to record its outcome, and two reads of the trading state. `tests/scenarios/test_reads_of_a_pass.py` counts them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.account import Account, Activity, BrokerView
from tradebot.model.books import Books
from tradebot.model.intent import is_our_order_id
from tradebot.model.order import Order, TimeInForce
from tradebot.model.position import OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger, Money
from tradebot.reconciliation.activity_booking import BookingResult, BooksBefore, book_all
from tradebot.reconciliation.catch_up import omitted_orders
from tradebot.reconciliation.new_fills import WATCHED, MissingFill, missing_fills
from tradebot.timetable.sessions import CALENDAR_REACH, session_of

LISTED_LATE = timedelta(days=31)
"""How late an activity may first be listed, or how long it may wait for a person."""


def apply_activities(
    reader: BrokerReader, ledger: Ledger, books: Books, view: BrokerView, at: datetime
) -> tuple[int, tuple[Activity, ...]]:
    """Book what the broker's activities prove, each exactly once, even if the process is killed in between.

    Return how many bookings were written, and which activities wait for a person.
    """
    booked = preview_bookings(reader, ledger, books, view)
    return sum(ledger.book(booking, at) for booking in booked.proven), booked.doubtful


def preview_bookings(
    reader: BrokerReader, ledger: Money, books: Books, view: BrokerView, pending: Sequence[OwnedFill] = ()
) -> BookingResult:
    """Return the bookings that the activities would write after the `pending` fills, without writing anything."""
    opened, mark = books.standing.opened_at, books.standing.reconciled
    if opened is None:
        return BookingResult((), ())
    reported = reader.activities(max(opened, mark.at - LISTED_LATE) if mark else opened)
    booked_ids = ledger.booked(frozenset(_activity_ids(reported))) if reported else {}
    of_fills = {activity.fill_id for activity in reported if activity.fill_id}
    awaited = ledger.fees_awaited(of_fills) if of_fills else ()
    corrected = {activity.corrects.fill_id for activity in reported if activity.corrects}
    filled = ledger.known_fills(corrected) if corrected else ()
    new = [
        activity
        for activity in reported
        if activity.id not in booked_ids
        and (not activity.fill_id or activity.fill_id in awaited)
        and (
            activity.corrects is None
            or (activity.corrects.fill_id in filled and booked_ids.keys().isdisjoint(activity.corrects.later))
        )
    ]
    symbols = {activity.symbol for activity in new if activity.symbol is not None and activity.meaning.moves_shares}
    fills = (*(owned for symbol in sorted(symbols) for owned in ledger.fills(symbol)), *pending)
    paid = {name: entry.amount for name, entry in booked_ids.items()}
    books_before = BooksBefore(tuple(sorted(fills, key=lambda owned: owned.fill.at)), books.acknowledged, paid)
    return book_all(books_before, {position.symbol: position for position in view.positions}, new, books.day)


def _activity_ids(reported: Iterable[Activity]) -> Iterator[str]:
    """Yield the ids of activities, and of the corrections before and after each."""
    for activity in reported:
        yield activity.id
        if activity.corrects is not None:
            yield from (*activity.corrects.earlier, *activity.corrects.later)


def explain_ratios(reader: BrokerReader, ledger: Ledger, books: Books, view: BrokerView, now: datetime) -> bool:
    """Book the activities that explain why positions differ; return True if anything was written.

    If the broker doesn't answer, nothing is proven. Exits then continue, and evaluate such a position with both
    quantities.
    """
    try:
        return bool(apply_activities(reader, ledger, books, view, now)[0])
    except TradebotError:
        return False


def position_ratios(books: Books, view: BrokerView) -> dict[str, Decimal]:
    """Return the broker's shares divided by ours, by symbol: 0 if none are left, negative if the side changed.

    In a margin account, a symbol is left out if the broker's position is on the same side as ours. Instruments traded
    on margin never split, so others must have traded, and our positions are still those in the books.
    """
    totals = books.quantities()
    ours = {position.symbol: totals.get(position.symbol, Decimal(0)) for position in books.totals.own_positions()}
    there = {position.symbol: position.quantity for position in view.positions}
    differing = {s: total for s, total in ours.items() if total and there.get(s, Decimal(0)) != total}
    ratios = {symbol: there.get(symbol, Decimal(0)) / total for symbol, total in differing.items()}
    if view.account.settlement is Settlement.PAID:
        return ratios
    return {symbol: ratio for symbol, ratio in ratios.items() if ratio <= 0}


def require_account(ledger: Ledger, account: Account) -> None:
    """Raise OperatorError if the broker's account isn't the account that these books belong to."""
    if account.number != ledger.account_number:
        raise OperatorError(
            f"the broker answers for account …{account.tail}, but these books belong to "
            f"…{ledger.account_number[-4:]}: the account was reset, or these keys belong to a different account",
            "use the keys of that account, or start new books (these stay readable): tradebot init --state-dir NEW",
            code=ExitCode.REFUSED,
        )


def without_twins(view: BrokerView, books: Books) -> BrokerView:
    """Clear the client order id of an order that isn't ours: another order in the books already has that id."""
    unnamed = {order.venue_id for order in books.orders if not order.client_order_id}
    twins = (order for order in view.orders if order.client_order_id and order.venue_id in unnamed)
    repeated = {order.venue_id: order.client_order_id for order in twins}
    if not repeated:
        return view
    orders = tuple(replace(order, client_order_id="") if order.venue_id in repeated else order for order in view.orders)
    return replace(view, orders=orders, repeated=repeated)


YESTERDAY = timedelta(days=1)
"""How far back a session's intents are read, because a session's date isn't always today's in UTC."""


def read_books(ledger: Ledger, now: datetime, day: VenueDay, listed: Sequence[Order] = ()) -> Books:
    """Return the books at the venue's time `now`, with the open orders that the venue `listed`.

    The amount of data read doesn't grow with the fills and orders collected over time.
    """
    # In a dry run, the venue's list isn't written to the ledger.
    recent = ledger.recent_orders(now - WATCHED)
    orders = (*recent, *omitted_orders(listed, recent))
    chains = ledger.order_chains([order.venue_id for order in orders])
    every = {order.venue_id: order for chain in (orders, *chains.values()) for order in chain}
    recorded = ledger.recorded_intents({order.client_order_id for order in every.values()})
    start, end = (now - CALENDAR_REACH).date(), (now + CALENDAR_REACH).date()
    totals, calendars = ledger.totals(), dict(ledger.calendars(start, end))
    own = calendars.pop("", ())
    day = day.knowing(own)
    unknown = [o for o in orders if o.client_order_id not in recorded and is_our_order_id(o.client_order_id)]
    return Books(
        at=now,
        account_number=ledger.account_number,
        standing=ledger.account_state(),
        state=ledger.trading_state(),
        day=day,
        calendar=own,
        other_calendars=calendars,
        totals=totals,
        with_others=tuple(ledger.foreign_and_moved_fills()),
        acknowledged=ledger.acknowledged(),
        orders=orders,
        chains=chains,
        intents_by_id=recorded,
        filled=ledger.filled_quantities(every),
        intents=tuple(ledger.recent_intents(min(_first_session(orders, recorded, now), *_of_today(day, now)))),
        kept=ledger.entry_terms([(p.strategy, p.symbol, p.opened_at) for p in totals.own_positions()]),
        sent_by_another_copy=frozenset(o.venue_id for o in unknown if _is_of_another_copy(ledger, o, now, day)),
        noted_too_early=frozenset(_noted_too_early(ledger) if unknown else ()),
    )


READ_WITHIN = timedelta(seconds=30)
"""How much older than a reply with a fill the list of fills may be."""


def fills_awaited(
    ledger: Ledger, now: datetime, day: VenueDay, late: timedelta = timedelta(0)
) -> tuple[MissingFill, ...]:
    """Return our orders that have filled more than the ledger shows, at the venue's time `now`.

    Orders that changed within the last `late` are left out.
    """
    # There is almost never any, and then nothing else has to be read.
    orders = [order for order in ledger.recent_orders(now - WATCHED) if order.filled_quantity]
    booked = ledger.filled_quantities({order.venue_id for order in orders})
    if all(order.filled_quantity <= booked.get(order.venue_id, 0) for order in orders):
        return ()
    missing = missing_fills(read_books(ledger, now, day))
    return tuple(fill for fill in missing if now - (fill.order.updated_at or fill.order.submitted_at or now) >= late)


def _first_session(orders: Iterable[Order], ours: Mapping[str, object], now: datetime) -> date:
    """Return the first session whose intents matter: the latest one, or the session of our oldest working DAY order."""
    # For an order that rests for weeks, only its own intent is read.
    days = (o for o in orders if o.time_in_force is not TimeInForce.GTC)
    working = (o for o in days if not o.status.terminal and o.client_order_id in ours)
    sent = (order.submitted_at for order in working if order.submitted_at)
    return (min((now, *sent)) - YESTERDAY).date()


def _of_today(day: VenueDay, now: datetime) -> Iterator[date]:
    """Yield this moment's date, and the dates of holidays whose trading belongs to the same day."""
    today = day.date_of(now)
    yield today
    yield from (own for own, following in day.belonging if following == day.trade_date(today))


def _is_of_another_copy(ledger: Ledger, order: Order, now: datetime, day: VenueDay) -> bool:
    """Return True if another copy of the bot sent this order: it appeared between two passes of one session."""
    sent = order.submitted_at or order.updated_at or now
    session = session_of(ledger, sent, day)
    if session is None:
        return False
    # A strategy's slot may end in a later session.
    claims = (claim for claim in ledger.slot_claims(session.date) if not claim.missed_reason)
    looks = [claim.at for claim in claims if session.contains(claim.at)]
    looks += [record.intent.at for record in ledger.intents(session=session.date)]
    mark = ledger.account_state().reconciled
    looks += [mark.at] if mark and session.contains(mark.at) else []
    looks += [now] if session.contains(now) else []
    return any(look < sent for look in looks) and any(look >= sent for look in looks)


def _noted_too_early(ledger: Ledger) -> Iterator[str]:
    """Yield the venue ids of orders reported after a person had acknowledged their symbol as foreign."""
    for symbol, since in ledger.acknowledged_since().items():
        yield from (order.venue_id for order in ledger.orders(since=since) if order.symbol == symbol)
