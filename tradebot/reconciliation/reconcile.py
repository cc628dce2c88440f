"""Reconcile: apply facts, compare books and broker, and record the result; write a plan once a person accepts it.

This module only gets readers and the ledger, so it can't send an order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from msgspec import Struct

from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.model.account import Activity, ActivityKind, Booking, BrokerView, Entry
from tradebot.model.bar import ClockReading, VenueClock
from tradebot.model.books import Books
from tradebot.model.finding import AdjustmentPlan, Finding, FindingKind
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.position import FOREIGN, Origin, OwnedFill, Position, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import ReconcileMark
from tradebot.model.venue_day import VenueDay
from tradebot.ports.broker import BrokerReader, Undisturbed
from tradebot.ports.stores import Ledger, Money, Slots
from tradebot.reconciliation.activity_booking import name_fills, restated_extremes, round_shares, split_fills
from tradebot.reconciliation.catch_up import (
    CatchUpResult,
    catch_up,
    fillable_orders,
    late_end_reports,
    omitted_orders,
    read_view,
    with_expired_orders,
)
from tradebot.reconciliation.differences import (
    CHANGES_A_POSITION,
    booked_behind,
    cash_as_booked,
    compare,
    fingerprint,
    plan_of,
    unseen_exits,
)
from tradebot.reconciliation.doubts import with_doubts
from tradebot.reconciliation.listing_updates import current_listings, held_and_ordered, refusals, require_listing
from tradebot.reconciliation.listing_updates import findings as instrument_findings
from tradebot.reconciliation.new_fills import held_at_broker
from tradebot.reconciliation.protection import (
    ProtectionWatch,
    find_lapsed_stops,
    find_overfilled,
    find_unprotected,
    last_exit_pass,
    without_stop,
)
from tradebot.reconciliation.read_books import apply_activities, read_books, without_twins
from tradebot.reconciliation.unknown_orders import ask_about, intent_of_pair, take_over_fills, unknown_orders


class Reconciled(Struct, frozen=True):
    """One comparison: the applied facts, the differences, and the plan that would resolve them.

    `bookings` counts what the broker's activities proved; `doubtful` are activities that prove nothing by themselves.
    `without_stop` are our positions that no configured exit rule closes at a fixed loss.
    """

    at: datetime
    view: BrokerView
    applied: CatchUpResult
    findings: tuple[Finding, ...]
    plan: AdjustmentPlan | None
    bookings: int = 0
    doubtful: tuple[Activity, ...] = ()
    without_stop: tuple[Position, ...] = ()


Second = Callable[[], datetime | None]
"""Returns the time by a clock other than the venue's; None while that clock is unavailable."""


def reconcile(
    reader: BrokerReader, ledger: Ledger, watch: ProtectionWatch | None = None, second: Second = lambda: None
) -> Reconciled:
    """Apply the venue's facts, and compare books and broker; with `watch`, check protection too. Record the result."""
    clock = reader.clock()
    now, passed = clock.now, ClockReading(clock, second(), 0.0).earlier_now
    view = read_view(reader, ledger)
    if view.account.number != ledger.account_number:
        tails = f"…{view.account.tail}, but these books belong to …{ledger.account_number[-4:]}"
        why = (f"the broker answers for account {tails}",)
        mismatch = Finding(FindingKind.ACCOUNT_RESET, "account", None, None, why)
        return _mark(ledger, Reconciled(now, view, CatchUpResult(0, 0, ()), (mismatch,), None))
    _require_steady(view)
    day = reader.capabilities.day
    applied = catch_up(reader, ledger, view.orders, now, passed, view.whole_at)
    if ends := tuple(late_end_reports(reader, ledger, now)):
        ledger.apply_orders(ends, now)
    # Anything that filled since the view was read would look like a difference, so read it again.
    view = read_view(reader, ledger) if applied.fills or applied.orders else view
    books = with_expired_orders(reader, read_books(ledger, now, day, view.orders), passed)
    if omitted_orders(fillable_orders(books), view.orders):
        applied = catch_up(reader, ledger, view.orders, now, passed, view.whole_at).after(applied)
        books = read_books(ledger, now, day, view.orders)
    bookings, doubtful = apply_activities(reader, ledger, books, view, now)
    if bookings:
        view = read_view(reader, ledger)
        books = read_books(ledger, now, day, view.orders)
    _require_steady(view)
    orders_told = ask_about(reader, books, view)
    if orders_told.orders:
        ledger.apply_orders(orders_told.orders, now)
        books = read_books(ledger, now, day, view.orders)
    unreadable = view.unreadable + applied.unreadable + applied.untraced_fills + orders_told.unreadable
    view = without_twins(replace(view, unreadable=unreadable), books)
    books = with_expired_orders(reader, books, passed)
    omitted = omitted_orders(fillable_orders(books), view.orders)
    books = with_doubts(reader, books, view, omitted, reader.capabilities.tells_ends_after)
    findings = tuple(_check_directly(reader, compare(books, booked_behind(ledger, books), view, doubtful)))
    if _was_reset(reader, ledger, findings):
        reset = Finding(FindingKind.ACCOUNT_RESET, "account", None, None, ("the broker knows none of these orders",))
        reconciled = Reconciled(now, view, applied, (reset, *findings), None, bookings, doubtful)
        return _mark(ledger, reconciled)
    plan = plan_of(findings, view)
    findings += tuple(_of_positions(reader, ledger, clock, view, books, watch))
    unstopped = without_stop(books, watch) if watch else ()
    return _mark(ledger, Reconciled(now, view, applied, findings, plan, bookings, doubtful, unstopped))


def _of_positions(
    reader: BrokerReader,
    ledger: Ledger,
    clock: VenueClock,
    view: BrokerView,
    books: Books,
    watch: ProtectionWatch | None,
) -> Iterator[Finding]:
    """Yield findings about our positions that don't concern quantities: their instruments, sides and protection."""
    ours = tuple(dict.fromkeys(held_and_ordered(books)))
    stored_listings = ledger.listings()
    listed = current_listings(reader, ledger, books, ours, clock.now, refused=refusals(books))
    yield from instrument_findings(books, listed, stored_listings.values())
    yield from find_overfilled(view, books)
    if watch:
        yield from find_unprotected(clock, view, books, watch, last_exit_pass(ledger, clock.now, books.day))
        yield from find_lapsed_stops(view, books, listed.listings, watch)


def _check_directly(reader: BrokerReader, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings, but once a direct reply contradicts the list, none that changes a position.

    Such a finding, and each one after it, becomes VIEW_UNSTEADY.
    """
    wrong_about = ""
    for finding in findings:
        why = ""
        if finding.kind in CHANGES_A_POSITION and wrong_about:
            why = f"not checked, because the list was wrong about {wrong_about}"
        elif finding.kind in CHANGES_A_POSITION:
            answer = held_at_broker(reader, finding.subject)
            if answer != finding.broker:
                why = f"asked about this symbol directly: {'no answer' if answer is None else f'{answer:f}'}"
                wrong_about = finding.subject
        yield replace(finding, kind=FindingKind.VIEW_UNSTEADY, evidence=(why,)) if why else finding


def _require_steady(view: BrokerView) -> None:
    """Raise TemporaryError if positions and orders may be from two different moments and can't be compared."""
    if not view.steady:
        raise TemporaryError(
            "our own orders kept changing while the account was being read, so nothing could be compared",
            "tradebot reconcile   again in a moment",
        )


def _mark(ledger: Slots, reconciled: Reconciled) -> Reconciled:
    blocking = sum(finding.blocking for finding in reconciled.findings)
    ledger.mark_reconciled(ReconcileMark(reconciled.at, blocking, len(reconciled.findings)))
    return reconciled


def _was_reset(reader: BrokerReader, ledger: Ledger, findings: Sequence[Finding]) -> bool:
    """Return True if the account was reset under the same number: it knows neither our last order nor our fills.

    If the venue forgets both by the next day, a reset can't be told from positions closed while the bot was off.
    """
    kinds = {finding.kind for finding in findings}
    if reader.capabilities.forgets or FindingKind.PHANTOM not in kinds or FindingKind.VIEW_UNSTEADY in kinds:
        return False
    last = ledger.last_acknowledged()
    if last is None or reader.order(last) is not None:
        return False
    return not ledger.known_fills({fill.activity_id for fill in reader.fills(ledger.books_opened_at())})


def apply_plan(
    reader: BrokerReader,
    ledger: Ledger,
    plan: AdjustmentPlan,
    who: str,
    watch: ProtectionWatch | None = None,
    undisturbed: Undisturbed = nullcontext,
    second: Second = lambda: None,
) -> Reconciled:
    """Write an accepted plan into the books if nothing has changed at the broker since, then compare again.

    Once the plan is written, the pass can't be restarted, so the second comparison doesn't yield to exit passes.
    """
    current, day = reconcile(reader, ledger, second=second), reader.capabilities.day
    if fingerprint(current.view) != plan.fingerprint or current.plan is None or current.plan.id != plan.id:
        raise OperatorError(
            f"{plan.id} is based on an older view: the broker or the books have changed since",
            "tradebot reconcile, read the findings again, then apply the new plan",
            code=ExitCode.REFUSED,
        )
    why = f"{plan.id} accepted by {who}"
    assumed = unseen_exits(read_books(ledger, current.at, day), current.view)
    for finding in plan.findings:
        # The id says which plan wrote the fill and when, because the same plan may be accepted again.
        name = f"adjustment:{plan.id}:{current.at:%Y%m%dT%H%M%S%fZ}:{finding.subject}"
        accepted = _Accepted(plan.id, name, why, current.at)
        if finding.kind is FindingKind.SPLIT:
            _restate(ledger, finding, accepted, current)
        if finding.kind is FindingKind.FORGOTTEN:
            _take_over(ledger, finding.subject, current, day)
            continue
        if finding.kind is FindingKind.UNKNOWN_PAIR:
            _take_over_pair(reader, ledger, finding.subject, plan, current)
            continue
        _write(ledger, finding, accepted, assumed)
        # Foreign shares may now offset ours; the same plan resolves that too.
        totals, none = ledger.totals(), Decimal(0)
        others = totals.foreign_quantities(ledger.acknowledged()).get(finding.subject, none)
        if totals.own_quantities().get(finding.subject, none) * others < 0:
            _settle_offset(ledger, finding.subject, accepted._replace(name=f"{name}:rest"))
    _close_doubts(ledger, plan, current)
    # Adjustments have a price, and the cash they moved is added back, so no plan creates or loses money.
    books = read_books(ledger, current.at, day)
    difference = cash_as_booked(books, current.view)[0] - books.cash
    if difference:
        ledger.adjust_cash(difference, why, current.at, origin=Origin.PLAN, about=plan.id)
    with undisturbed():
        return reconcile(reader, ledger, watch, second)


class _Accepted(NamedTuple):
    """How a plan's adjustments of one symbol are named: plan id, name prefix, who accepted it, and when."""

    plan: str
    name: str
    why: str
    at: datetime

    def fill(self, owner: str, part: str, of: Position, change: Decimal, price: Decimal) -> OwnedFill:
        name, source = f"{self.name}:{part}", (Origin.PLAN, self.plan)
        return unreported_fill(owner, name, of.symbol, change, price, of.multiplier, self.at, *source)


def _take_over(ledger: Ledger, symbol: str, current: Reconciled, day: VenueDay) -> None:
    """Take over our own earlier orders in a symbol, with the shares they hold now."""
    books, positions = read_books(ledger, current.at, day), current.view.positions
    forgotten = unknown_orders(books, positions).forgotten
    orders = [order for order in forgotten if order.symbol == symbol]
    broker_position = next((position for position in positions if position.symbol == symbol), None)
    strategies = {record.intent.key.strategy for record in ledger.intents()}
    ledger.apply_fills(tuple(take_over_fills(books, strategies, orders, broker_position)), current.at)
    _reduce_acknowledged(ledger, symbol, broker_position.quantity if broker_position else Decimal(0), current.at)


def _take_over_pair(reader: BrokerReader, ledger: Ledger, name: str, plan: AdjustmentPlan, current: Reconciled) -> None:
    """Write the intent of an order that protects our position, as if these books had sent it."""
    books = read_books(ledger, current.at, reader.capabilities.day, current.view.orders)
    strategy = unknown_orders(books, current.view.positions).protecting[name]
    order = next(order for order in current.view.orders if order.client_order_id == name)
    legs = tuple(leg for leg in current.view.orders if leg.parent == order.venue_id)
    listing = require_listing(reader, ledger, order.symbol, current.at)
    ledger.record_intent(intent_of_pair(books, order, listing.instrument, legs, strategy, plan.id), ())
    ledger.record_outcome(name, Reply(WriteOutcome.ACCEPTED, order, legs=legs), current.at)


def _reduce_acknowledged(ledger: Ledger, symbol: str, held_quantity: Decimal, at: datetime) -> None:
    """Reduce the quantity acknowledged as foreign by the shares that turned out to be ours."""
    noted = ledger.acknowledged().get(symbol, Decimal(0))
    excess = _quantity_in_books(ledger, symbol) - held_quantity
    if noted * excess > 0:
        remaining = max(abs(noted) - abs(excess), Decimal(0)).copy_sign(noted)
        ledger.acknowledge(symbol, remaining, "orders with our ids created these shares", at, origin=Origin.TAKEN_OVER)


def _quantity_in_books(ledger: Money, symbol: str) -> Decimal:
    """Return the books' signed quantity of a symbol, over all owners."""
    return ledger.totals().quantities(ledger.acknowledged()).get(symbol, Decimal(0))


def _restate(ledger: Money, finding: Finding, accepted: _Accepted, current: Reconciled) -> None:
    """Scale every owner's shares by the ratio of the broker's quantity to ours.

    A rounding remainder is adjusted later.
    """
    assert finding.ours is not None
    assert finding.broker is not None
    symbol, ratio = finding.subject, Fraction(finding.broker) / Fraction(finding.ours)
    splits = [
        activity for activity in current.doubtful if (activity.meaning, activity.symbol) == (ActivityKind.SPLIT, symbol)
    ]
    positions = [p for (_, what), p in ledger.totals().positions.items() if what == symbol and p.quantity]
    fills = [owned for position in positions for owned in split_fills(position, ratio, current.at)]
    acknowledged = ledger.acknowledged().get(symbol, Decimal(0))
    booking = Booking(
        tuple(
            Entry(split.id, split.kind, Decimal(0), f"{split.words}, settled by {accepted.plan}", split.at)
            for split in splits
        ),
        name_fills(f"{accepted.name}:split", fills, Origin.PLAN, accepted.plan),
        ((symbol, round_shares(Fraction(acknowledged) * ratio)),) if acknowledged else (),
        tuple(restated_extremes(positions, symbol, ratio)),
    )
    ledger.book(booking, current.at)


def _close_doubts(ledger: Money, plan: AdjustmentPlan, current: Reconciled) -> None:
    """Record the activities that a person settled with the plan, so that they don't count as new."""
    subjects = {finding.subject for finding in plan.findings}
    cash = any(finding.kind is FindingKind.CASH for finding in plan.findings)
    for activity in current.doubtful:
        if activity.symbol in subjects or (cash and activity.net_amount):
            entry = Entry(
                activity.id, activity.kind, Decimal(0), f"{activity.words}, settled by {plan.id}", activity.at
            )
            ledger.book(Booking((entry,)), current.at)


def _write(ledger: Ledger, finding: Finding, accepted: _Accepted, assumed: Mapping[str, OwnedFill]) -> None:
    """Write the broker's quantity into the books; a foreign position is only acknowledged, never made ours."""
    if finding.kind is FindingKind.CASH or finding.broker is None or finding.ours is None:
        return
    if finding.kind is FindingKind.CLOSED_UNSEEN:
        ledger.apply_fills([assumed[finding.subject]], accepted.at)
        return
    if finding.kind is FindingKind.NOTE_CLOSED:
        _close_note(ledger, ledger.totals().positions[FOREIGN, finding.subject], accepted)
        return
    if finding.kind is FindingKind.OFFSET:
        _settle_offset(ledger, finding.subject, accepted)
        return
    change = finding.broker - _quantity_in_books(ledger, finding.subject)
    if not change:
        return
    held_quantity = ledger.acknowledged().get(finding.subject, Decimal(0))
    if finding.kind is FindingKind.FOREIGN_POSITION or held_quantity:
        _acknowledge(ledger, finding.subject, held_quantity + change, accepted)
        return
    position, parts = _adjustments(ledger.totals(), finding.subject, change)
    fills = [accepted.fill(position.strategy, str(n), position, *part) for n, part in enumerate(parts)]
    ledger.apply_fills(fills, accepted.at)


def _acknowledge(ledger: Money, symbol: str, quantity: Decimal, accepted: _Accepted) -> None:
    ledger.acknowledge(symbol, quantity, accepted.why, accepted.at, origin=Origin.PLAN, about=accepted.plan)


def _settle_offset(ledger: Ledger, symbol: str, accepted: _Accepted) -> None:
    """Move foreign shares that offset our position to it: traded ones at their prices, older ones at our cost."""
    book, acknowledged = ledger.totals().positions, ledger.acknowledged().get(symbol, Decimal(0))
    owner, position = next(
        (who, p) for (who, what), p in book.items() if what == symbol and who != FOREIGN and p.quantity
    )
    foreign = book.get((FOREIGN, symbol)) or Position(FOREIGN, symbol, (), Decimal(0))
    amount = min(abs(foreign.quantity + acknowledged), abs(position.quantity))
    traded = min(amount, abs(foreign.quantity)) if foreign.quantity * position.quantity < 0 else Decimal(0)
    older = (amount - traded).copy_sign(position.quantity)
    handed = list(_reassigned_trades(owner, foreign, traded.copy_sign(position.quantity), accepted))
    rest = [accepted.fill(owner, f"old:{n}", position, *part) for n, part in enumerate(_at_cost(position, -older))]
    ledger.apply_fills(handed + rest, accepted.at)
    if older:
        _acknowledge(ledger, symbol, acknowledged + older, accepted)


def _close_note(ledger: Ledger, trades: Position, accepted: _Accepted) -> None:
    """Remove an acknowledgment and the manual trades that closed it, at their prices, so that no profit arises."""
    parts = enumerate(_at_cost(trades, -trades.quantity))
    ledger.apply_fills([accepted.fill(FOREIGN, f"noted:{n}", trades, *part) for n, part in parts], accepted.at)
    _acknowledge(ledger, trades.symbol, Decimal(0), accepted)


def _reassigned_trades(owner: str, foreign: Position, amount: Decimal, accepted: _Accepted) -> Iterator[OwnedFill]:
    """Yield the pairs that move foreign trades to the position that they closed."""
    for n, (part, price) in enumerate(_at_cost(foreign, amount)):
        yield accepted.fill(FOREIGN, f"from:{n}", foreign, part, price)
        yield accepted.fill(owner, f"to:{n}", foreign, -part, price)


def _adjustments(totals: Totals, symbol: str, change: Decimal) -> tuple[Position, list[tuple[Decimal, Decimal]]]:
    """Return the position to adjust, and the signed quantities and prices that adjust it."""
    positions = [position for (_, position_symbol), position in totals.positions.items() if position_symbol == symbol]
    for position in positions:
        if position.quantity:
            return position, list(_at_cost(position, change))
    return replace(positions[-1], strategy=FOREIGN), [(change, totals.last_price[symbol])]


def _at_cost(position: Position, change: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield an adjustment's parts: close opposite lots at cost, without profit; open the rest at average price."""
    for lot in position.lots:
        if not change or (lot.quantity > 0) == (change > 0):
            break
        part = min(abs(change), abs(lot.quantity)).copy_sign(change)
        yield part, lot.price
        change -= part
    if change:
        yield change, position.average_price
