"""Check that each of our positions is protected. The bot itself runs the exits, so at least one exit rule must be able
to act.

Gaps in protection are whole lots of our positions for which no stop at the venue can trigger. A gap lasts until the
shares are gone or a report shows a resting stop; having sent a stop isn't enough. A new fill isn't a gap if the next
pass protects it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct

from tradebot.exits.exit_rule import WatchedPosition, best_price
from tradebot.exits.rules import Exits, effective_rules, evaluate_rules, has_stop, is_blind, rule_levels
from tradebot.model.account import BrokerView
from tradebot.model.bar import VenueClock
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Verdict
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.instrument import Listing, whole_lots
from tradebot.model.intent import IntentRecord, IntentState, Operation, is_our_order_id
from tradebot.model.lifecycle import can_trigger, release_stop, waits_for_entry
from tradebot.model.limits import ExitRules, Protection
from tradebot.model.order import Order, OrderClass, OrderStatus
from tradebot.model.position import ADOPTED, Position
from tradebot.model.record import DOUBTED, EXITING, NOT_PLACED, REFUSED, Gap, Job
from tradebot.model.resting_orders import HoldingKey, Resting, resting_among
from tradebot.model.venue_day import VenueDay
from tradebot.ports.broker import Market
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.catch_up import fillable_orders
from tradebot.reconciliation.read_books import position_ratios
from tradebot.timetable.sessions import session_of

_NO_LOSS = frozenset({OrderStatus.FILLED, OrderStatus.REJECTED, OrderStatus.REPLACED})
"""States in which a stop can't trigger, although it wasn't lost: it filled, never rested, or was replaced."""

_ENDS_ITS_STOP = frozenset({OrderStatus.FILLED, OrderStatus.REJECTED})
"""States of a pair's target that explain the end of its stop, so that the stop wasn't lost."""


SMALLER = "smaller than it was"
"""The state of a stop whose quantity was reduced outside the bot."""


class _Stop(NamedTuple):
    """A known stop of a position.

    `lapse` is since when it can't trigger although it should, and its state since then.
    """

    placed_at: datetime
    shares: Decimal
    rested: bool
    lapse: tuple[datetime, str] | None


def protection_gaps(
    books: Books,
    listings: Mapping[str, Listing],
    resting: Mapping[HoldingKey, Sequence[Resting]],
    exits: ExitRules,
    exits_of: Callable[[str], Exits],
    closed: Mapping[str, Decimal] | None = None,
) -> Iterator[Gap]:
    """Yield gaps: our positions with whole lots that need a stop at the venue and have no working one.

    `closed` is how many of our shares others have closed, unsigned, by symbol; these need no stop.
    """
    if exits.protection is Protection.BOT:
        return
    closed_by_symbol = dict(closed or {})
    for position in books.totals.own_positions():
        protected = _protected_of(books, resting, position)
        whole = _whole(books, listings, position, _need(position, protected, closed_by_symbol))
        bare = whole - protected
        if bare > 0 and position.strategy != ADOPTED and _has_stop(books, position, exits_of):
            doubted = any(rest.doubted for rest in resting.get(position.holding, ()))
            yield _gap(books, position, bare, whole, doubted=doubted)


def closed_by_others(books: Books, net_by_symbol: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    """Return how many of our shares others have closed, unsigned, by symbol.

    Both the booked foreign fills and the venue's positions in `net_by_symbol` (signed) must show it.
    """
    holdings = (books.quantities(), net_by_symbol)
    own = books.totals.own_quantities().items()
    remaining = {
        symbol: max(each.get(symbol, Decimal(0)) * held_quantity for each in holdings) / abs(held_quantity)
        for symbol, held_quantity in own
    }
    return {
        symbol: max(abs(held_quantity) - max(remaining[symbol], Decimal(0)), Decimal(0))
        for symbol, held_quantity in own
    }


def _held_quantities(view: BrokerView) -> Mapping[str, Decimal]:
    return {position.symbol: position.quantity for position in view.positions}


def _need(position: Position, protected: Decimal, closed: dict[str, Decimal]) -> Decimal:
    """Return how many shares of a position need a stop, unsigned; deduct from `closed` what others closed of it."""
    shares = abs(position.quantity)
    gone = min(closed.get(position.symbol, Decimal(0)), max(shares - protected, Decimal(0)))
    if gone:
        closed[position.symbol] -= gone
    return shares - gone


def _whole(books: Books, listings: Mapping[str, Listing], position: Position, shares: Decimal) -> Decimal:
    """Return how many of these shares of a position a stop could protect: whole lots, if the lot is known."""
    listing = listings.get(position.symbol)
    instrument = listing.instrument if listing else books.opened_as(position)
    return whole_lots(instrument, shares) if instrument else shares


def _protected_of(books: Books, resting: Mapping[HoldingKey, Sequence[Resting]], position: Position) -> Decimal:
    rests = (pair for pair in resting.get(position.holding, ()) if _closes(pair.first, position))
    return sum((_protected_shares(books, pair) for pair in rests), Decimal(0))


def _protected_shares(books: Books, pair: Resting) -> Decimal:
    """Return for how many shares a stop can trigger, or will by the next pass because it was only just sent."""
    if pair.ending or any(_is_canceled_now(books, order, pair.record) for order in (pair.limit, pair.stop) if order):
        return Decimal(0)
    works = pair.record.intent.at >= books.at if pair.arrives else pair.can_trigger
    return pair.quantity if works else Decimal(0)


def _is_canceled_now(books: Books, order: Order, behind: IntentRecord) -> bool:
    """Return True if a cancel was just sent that the venue's last report doesn't show yet.

    It also cancels the other half of a pair, but not the stop of an entry that has filled.
    """
    of_pair = behind.intent.order_class is not OrderClass.BRACKET and order.parent in books.canceled_now
    return order.venue_id in books.canceled_now or of_pair


def _has_stop(books: Books, position: Position, exits_of: Callable[[str], Exits]) -> bool:
    entry_terms = books.terms_of(position)
    watched = WatchedPosition(position, best_price(position, None, entry_terms.best), entry_terms)
    return rule_levels(watched, effective_rules(exits_of(position.strategy), entry_terms)).stop is not None


def _gap(books: Books, position: Position, bare: Decimal, whole: Decimal, *, doubted: bool) -> Gap:
    if doubted:
        return Gap(position.strategy, position.symbol, bare, books.at, DOUBTED)
    bought, stops = _bought(position, bare, whole), tuple(_stops(books, position))
    lapses_of = [(stop.lapse, stop) for stop in stops if stop.lapse and stop.lapse[0] >= bought]
    lapses = sorted(lapses_of, key=itemgetter(0), reverse=True)
    lost = lapses[0][0][1] if lapses else _never_rested(books, position, bought)
    why, remaining, times = EXITING if _is_exiting(books, position) else lost, bare, list[datetime]()
    # The stops that lapsed last account for the uncovered shares. Any others never had one, or were protected by
    # another stop since.
    for (at, _), stop_of_lapse in lapses:
        if remaining > 0 and all(stop.placed_at < at for stop in stops if stop.rested and stop is not stop_of_lapse):
            times.append(at)
            remaining -= stop_of_lapse.shares
    since = min((*times, _bought(position, remaining, whole)) if remaining > 0 else times)
    return Gap(position.strategy, position.symbol, bare, since, why)


def _bought(position: Position, bare: Decimal, whole: Decimal) -> datetime:
    """Return when the first of the uncovered shares was bought; the newest shares count as uncovered."""
    if bare >= whole:
        return position.opened_at
    for lot in sorted(position.lots, key=lambda lot: lot.at, reverse=True):
        bare -= abs(lot.quantity)
        if bare <= 0:
            return lot.at
    return position.opened_at


def _stops(books: Books, position: Position) -> Iterator[_Stop]:
    states, spare = {order.venue_id: order.status for order in books.orders}, {*_spare(books, position)}
    for reported in (order for order in books.orders if order.venue_id not in spare):
        record = books.intent_behind(reported) if reported.stop_price is not None else None
        if record is None or not (record.intent.rests and _is_of(record, position) and _closes(reported, position)):
            continue
        order = release_stop(reported, record.intent, entered=books.has_entered(reported))
        lapse, parent = None, states.get(order.parent or "")
        if record.intent.order_class is OrderClass.BRACKET:
            # The stop of an entry only works once the entry has filled, and then apart from it.
            if waits_for_entry(order, record.intent) or parent not in (None, OrderStatus.FILLED):
                continue
            parent = None
        waits = can_trigger(order, record.intent) or order.status.is_arriving
        if not order.status.terminal and _is_canceled_now(books, order, record):
            lapse = books.at, OrderStatus.PENDING_CANCEL.value
        elif not (waits or order.status in _NO_LOSS or parent in _ENDS_ITS_STOP):
            lapse = order.updated_at or order.submitted_at or record.intent.at, order.status.value
        # The stop of a pair that was accepted and then rejected never rested; the venue shows it as canceled.
        rested = OrderStatus.REJECTED not in (order.status, parent)
        shares = (order.quantity or Decimal(0)) - order.filled_quantity
        placed_at = order.submitted_at or record.intent.at
        yield _Stop(placed_at, shares, rested, lapse)
        cut = record.intent.quantity - (order.quantity or record.intent.quantity)
        if lapse is None and cut > 0 and order.updated_at is not None:
            # The bot didn't reduce it: each reduction by the bot has an intent.
            yield _Stop(placed_at, cut, rested, (order.updated_at, SMALLER))


def _spare(books: Books, position: Position) -> Iterator[str]:
    """Yield the venue ids of stops that a pass canceled after others covered all of their shares."""
    placed, of_it = defaultdict[str, Decimal](Decimal), (r.intent for r in books.intents if _is_of(r, position))
    for intent in (
        intent
        for intent in of_it
        if intent.protects and not intent.is_target and intent.order_class is OrderClass.SIMPLE
    ):
        ends = intent.operation is Operation.CANCEL
        placed[intent.cycle_id] += -intent.quantity if ends else intent.quantity
        if ends and placed[intent.cycle_id] >= 0:
            yield intent.target_venue_id or ""


def _is_exiting(books: Books, position: Position) -> bool:
    """Return True if an exit works, or may work because its outcome is unknown."""
    behind = (books.intent_behind(order) for order in books.working if order.stop_price is None)
    sent = (record for record in (*behind, *books.unresolved_intents) if record and record.intent.makes_order)
    exits = (record for record in sent if record.intent.purpose is not Purpose.OPEN and not record.intent.protects)
    return any(_is_of(record, position) for record in exits)


def _never_rested(books: Books, position: Position, bought: datetime) -> str:
    stops = (record for record in books.intents if record.intent.protects and not record.intent.is_target)
    sent = [record for record in stops if _is_of(record, position)]
    last = next((r for r in reversed(sent) if r.intent.makes_order and r.intent.at >= position.opened_at), None)
    # A stop that was sent before these shares were bought was for other shares.
    if last is None or (last.intent.at < bought and last.intent.order_class is OrderClass.SIMPLE):
        return NOT_PLACED
    late = {order.client_order_id for order in books.orders if order.status is OrderStatus.REJECTED}
    refused = last.state is IntentState.REJECTED or any(r.intent.client_order_id in late for r in sent)
    return REFUSED if refused else OrderStatus.UNKNOWN.value


def _closes(order: Order, position: Position) -> bool:
    """Return True if an order closes this position, and wasn't sent before the position reversed."""
    return order.side.sign * position.quantity < 0


def _is_of(record: IntentRecord, position: Position) -> bool:
    return (record.intent.key.strategy, record.intent.key.symbol) == position.holding


class ProtectionWatch(Struct, frozen=True):
    """The settings of the protection check: an exit counts as missed if no exit pass started for `life_s` seconds.

    `exits_of` returns the exit rules of a strategy, and `exits` are the account's exit rules.
    """

    market: Market
    exits_of: Callable[[str], Exits]
    life_s: float
    exits: ExitRules


def find_unprotected(
    clock: VenueClock, view: BrokerView, books: Books, watch: ProtectionWatch, last_exits: datetime
) -> Iterator[Finding]:
    """Yield findings about positions that no rule can evaluate now, or whose exit is due without an exit order.

    `last_exits` is when the last exit pass started.
    """
    ours = _ours(books)
    if not ours or not clock.is_open:
        return
    quotes, ratios = watch.market.quotes(tuple(p.symbol for p in ours)), position_ratios(books, view)
    busy, state = _busy_symbols(view, books), books.state.state
    missed, closed = (
        last_exits < clock.now - timedelta(seconds=watch.life_s),
        dict(closed_by_others(books, _held_quantities(view))),
    )
    for position in ours:
        ratio, quote = ratios.get(position.symbol, Decimal(1)), quotes.get(position.symbol)
        rules = _rules(books, position, watch)
        watched = WatchedPosition(position, best_price(position, None, books.terms_of(position).best))
        decision = evaluate_rules(watched, quote, clock.now, rules, state, ratio).decision
        blind = is_blind(decision) and not _rests_for_all(books, position, closed)
        if position.symbol not in busy and ((decision.passed and missed) or blind):
            yield _finding(FindingKind.MISSING_STOP, view, position, _describe(decision))


def _rests_for_all(books: Books, position: Position, closed: dict[str, Decimal]) -> bool:
    """Return True if stops at the venue can trigger for all of a position, even if the bot has no price for it."""
    protected = _protected_of(books, resting_among(books, books.working), position)
    return protected >= _need(position, protected, closed)


def find_lapsed_stops(
    view: BrokerView, books: Books, listings: Mapping[str, Listing], watch: ProtectionWatch
) -> Iterator[Finding]:
    """Yield findings about positions whose stop the venue ended or suspended, so that only the bot protects them."""
    resting, closed = resting_among(books, books.working), closed_by_others(books, _held_quantities(view))
    for gap in protection_gaps(books, listings, resting, watch.exits, watch.exits_of, closed):
        if gap.why not in (EXITING, REFUSED, NOT_PLACED):
            ours = books.totals.positions[gap.strategy, gap.symbol]
            why = f"no stop at the broker can trigger for {gap.shares:f} shares: the last one is {gap.why}"
            yield _finding(FindingKind.MISSING_STOP, view, ours, why)


def find_overfilled(view: BrokerView, books: Books) -> Iterator[Finding]:
    """Yield findings about positions that changed sides because an order of ours closed more than there was to
    close.
    """
    for position in _ours(books):
        if books.terms_of(position).turned:
            why = f"{position.strategy} reversed at {position.opened_at:%Y-%m-%dT%H:%M:%SZ}, without an entry"
            yield _finding(FindingKind.OVERFILLED, view, position, why)


def _ours(books: Books) -> Sequence[Position]:
    return sorted(books.totals.own_positions(), key=lambda position: position.holding)


def _finding(kind: FindingKind, view: BrokerView, position: Position, why: str) -> Finding:
    """Return a finding about a position of ours, with the broker's quantity of its symbol."""
    held_quantity = next((p.quantity for p in view.positions if p.symbol == position.symbol), Decimal(0))
    return Finding(kind, position.symbol, position.quantity, held_quantity, (why,))


def _rules(books: Books, position: Position, watch: ProtectionWatch) -> Exits:
    return effective_rules(watch.exits_of(position.strategy), books.terms_of(position))


def without_stop(books: Books, watch: ProtectionWatch) -> tuple[Position, ...]:
    """Return our open positions that no rule closes at a fixed loss.

    That is the owner's choice, so it isn't a finding.
    """
    return tuple(position for position in _ours(books) if not has_stop(_rules(books, position, watch)))


def _busy_symbols(view: BrokerView, books: Books) -> set[str]:
    """Return the symbols on which one of our orders is, or may be, working."""
    orders = [order for order in view.orders if is_our_order_id(order.client_order_id)]
    orders += fillable_orders(books)
    unresolved = {record.intent.instrument.symbol for record in books.unresolved_intents if not record.intent.protects}
    return {order.symbol for order in orders if not books.protects(order)} | unresolved


def last_exit_pass(ledger: Ledger, now: datetime, day: VenueDay) -> datetime:
    """Return when the last exit pass of this session started, or when the session opened if none has yet.

    Without a session, return `now`.
    """
    session = session_of(ledger, now, day)
    if session is None:
        return now
    claims = (claim for claim in ledger.slot_claims(session.date) if claim.job == Job.EVALUATE_EXITS)
    return max((claim.at for claim in claims if not claim.missed_reason), default=session.open)


def _describe(decision: Decision) -> str:
    if decision.verdict is Verdict.UNKNOWN:
        return f"{decision.reason}: no exit rule can evaluate the position's price"
    return f"{decision.reason} is met, but no exit order is working: run tradebot evaluate-exits"
