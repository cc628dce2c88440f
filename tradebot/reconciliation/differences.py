"""Compare the ledger with the broker: each difference is a finding, with what accepting it would write. Nothing here
sends anything.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product

from tradebot.model.account import Activity, ActivityKind, BrokerPosition, BrokerView, Entry
from tradebot.model.books import Books
from tradebot.model.finding import AdjustmentPlan, Finding, FindingKind
from tradebot.model.intent import is_our_order_id, stop_of
from tradebot.model.order import Fill, Order, OrderStatus
from tradebot.model.position import FOREIGN, Origin, OwnedFill, Position
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement
from tradebot.ports.stores import Money
from tradebot.reconciliation.catch_up import fillable_orders, omitted_orders
from tradebot.reconciliation.new_fills import WATCHED, MissingFill, is_waiting, missing_fills
from tradebot.reconciliation.unknown_orders import UnknownOrders, unknown_orders

Both = Mapping[str, tuple[Decimal, Decimal]]
"""The bot's quantity and the broker's by symbol, both signed, without other people's shares."""

PLAN_BLOCKERS = frozenset({FindingKind.UNREADABLE, FindingKind.VIEW_UNSTEADY, FindingKind.MISSING_FILL})
"""Findings that rule out any plan: the differences may come from unreadable data, and a plan books all cash."""


TAKES_OVER = frozenset({FindingKind.FORGOTTEN, FindingKind.UNKNOWN_PAIR})
"""Findings whose plan takes over orders that these books never recorded."""


def fingerprint(broker: BrokerView) -> str:
    """Return a short digest of what a plan relies on, so that a plan based on an older view can be refused."""
    parts = [str(broker.account.cash)]
    parts += sorted(f"{p.symbol}={p.quantity}" for p in broker.positions)
    parts += sorted(f"{o.client_order_id}={o.filled_quantity}" for o in broker.orders)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def plan_of(findings: Sequence[Finding], broker: BrokerView) -> AdjustmentPlan | None:
    """Return the plan that would make the books agree with the broker, or None if nothing can be written."""
    # While another copy of the bot may be trading, don't take over anything it may have made.
    copied = any(finding.kind is FindingKind.UNKNOWN_ORDER for finding in findings)
    to_settle = tuple(f for f in findings if f.applicable and not (copied and f.kind in TAKES_OVER))
    if not to_settle or any(finding.kind in PLAN_BLOCKERS for finding in findings):
        return None
    mark = fingerprint(broker)
    content = "\n".join(f"{f.kind} {f.subject} {f.ours} {f.broker} {' '.join(f.evidence)}" for f in to_settle)
    digest = hashlib.sha256(f"{mark}\n{content}".encode()).hexdigest()[:8]
    return AdjustmentPlan(f"plan-{digest}", mark, to_settle)


CENT = Decimal("0.01")


CHANGES_A_POSITION = frozenset(
    {
        FindingKind.PHANTOM,
        FindingKind.CLOSED_UNSEEN,
        FindingKind.ORPHAN,
        FindingKind.QUANTITY,
        FindingKind.SIDE,
        FindingKind.SPLIT,
        FindingKind.RENAME,
    }
)
"""Finding kinds that a plan resolves by writing the broker's quantity into the books."""


def booked_behind(ledger: Money, books: Books) -> Mapping[str, Entry]:
    """Return the booked activities behind foreign fills, by their ids."""
    activities = {owned.about for owned in books.with_others if owned.origin is Origin.ACTIVITY}
    return ledger.booked(activities) if activities else {}


def compare(
    books: Books, booked: Mapping[str, Entry], broker: BrokerView, doubtful: Sequence[Activity] = ()
) -> tuple[Finding, ...]:
    """Return every difference: unreadable rows, orders, owners of positions, quantities by symbol, then cash.

    Call this once the venue's facts are in the books. `booked` are the activities behind foreign fills, by their ids.
    `doubtful` are the broker's activities that aren't booked because they prove nothing by themselves.
    """
    missing, unknown, both = missing_fills(books), unknown_orders(books, broker.positions), _both(books, broker)
    assumed = unseen_exits(books, broker)
    differing = () if broker.hides_positions else position_findings(books, missing, broker.positions, doubtful)
    positions = (_unseen(finding, assumed) for finding in differing)
    # Our earlier orders may explain these; what they don't explain is found later.
    explained = {order.symbol for order in unknown.forgotten}
    rows = (f"rows left out: {broker.unreadable}",)
    unreadable = [Finding(FindingKind.UNREADABLE, "account", None, None, rows)] if broker.unreadable else []
    return (
        *unreadable,
        *_hidden_positions(broker),
        *_orders(books, unknown, broker),
        *_missing(missing),
        *_forgotten(unknown, both),
        *_liquidations(books, both),
        *(other for other in (*_others(books, booked, unknown, both), *positions) if other.subject not in explained),
        *_cash(books, broker, both, doubtful),
    )


def unseen_exits(books: Books, broker: BrokerView) -> Mapping[str, OwnedFill]:
    """Return, by symbol, the fill that must have closed our position if its venue no longer reports it."""
    return assumed_exits(books, broker, cash_as_booked(books, broker)[0])


def _unseen(finding: Finding, assumed: Mapping[str, OwnedFill]) -> Finding:
    """Return the finding, with the fill that explains it if a forgotten order of ours does."""
    if finding.kind is not FindingKind.PHANTOM or finding.subject not in assumed:
        return finding
    fill = assumed[finding.subject].fill
    words = f"{fill.side.value} {fill.quantity:f} at {fill.price:f}, by order {fill.venue_order_id}"
    return replace(finding, kind=FindingKind.CLOSED_UNSEEN, evidence=(words,))


def _hidden_positions(broker: BrokerView) -> Iterator[Finding]:
    """Yield a finding if the list of positions can't be trusted, and so no difference in positions can be either."""
    if broker.hides_positions:
        words = (
            f"no position is listed, though {broker.account.maintenance_margin:,.2f} USD of maintenance margin "
            "show that there is one"
        )
        yield Finding(FindingKind.VIEW_UNSTEADY, "account", None, None, (words,))


def _missing(missing: Iterable[MissingFill]) -> Iterator[Finding]:
    for order, booked in missing:
        ours, reported = booked * order.side.sign or Decimal(0), order.filled_quantity * order.side.sign
        yield Finding(FindingKind.MISSING_FILL, order.symbol, ours, reported, (f"order {order.client_order_id}",))


def _orders(books: Books, unknown: UnknownOrders, broker: BrokerView) -> Iterator[Finding]:
    for record in books.unresolved_intents:
        yield Finding(FindingKind.UNRESOLVED, record.intent.client_order_id, record.intent.quantity, None)
    listed, booked_by_id = (
        {order.venue_id for order in broker.orders},
        {order.venue_id: order for order in books.orders},
    )
    # A stop may be listed without its entry, which the books may not have yet.
    stops = {stop_of(record.intent.client_order_id) for record in books.intents}
    for order in broker.orders:
        # A venue may stop reporting a leg's parent once that order is old.
        leg = order if order.parent else booked_by_id.get(order.venue_id, order)
        # Findings about a pair are reported for its first order.
        is_listed = leg.parent and (leg.parent in listed or books.intent_behind(leg))
        if order.venue_id in broker.repeated:
            words = f"{order.side.value} {order.open_quantity:f} {order.symbol}, the broker's order {order.venue_id}"
            yield Finding(FindingKind.ORDER_TWICE, broker.repeated[order.venue_id], None, order.quantity, (words,))
        elif order.client_order_id not in books.intents_by_id and order.client_order_id not in stops and not is_listed:
            yield Finding(_order_kind(order, unknown), order.client_order_id, None, order.quantity)
    for order in unknown.recent_by_other_copies:
        if order.venue_id not in listed:
            yield Finding(FindingKind.UNKNOWN_ORDER, order.client_order_id, None, order.quantity)
    for order in omitted_orders(fillable_orders(books), broker.orders):
        yield Finding(FindingKind.ORDER_LEFT_OUT, order.client_order_id, order.open_quantity, None)


def _forgotten(unknown: UnknownOrders, both: Both) -> Iterator[Finding]:
    for symbol in sorted({order.symbol for order in unknown.forgotten}):
        yield Finding(FindingKind.FORGOTTEN, symbol, *both[symbol], _describe_orders(unknown.forgotten, symbol))


def _both(books: Books, broker: BrokerView) -> Both:
    own, none = books.totals.own_quantities(), Decimal(0)
    theirs = {position.symbol: position.quantity for position in broker.positions}
    both = {symbol: (own.get(symbol, none), theirs.get(symbol, none)) for symbol in {**own, **theirs}}
    return defaultdict(lambda: (none, none), both)


def _describe_orders(orders: Iterable[Order], symbol: str) -> tuple[str, ...]:
    of_symbol = (order for order in orders if order.symbol == symbol)
    return tuple(f"{order.client_order_id}: {order.side} {order.filled_quantity:f}" for order in of_symbol)


def _order_kind(order: Order, unknown: UnknownOrders) -> FindingKind:
    if not is_our_order_id(order.client_order_id):
        return FindingKind.FOREIGN_ORDER
    if order.client_order_id in unknown.protecting:
        return FindingKind.UNKNOWN_PAIR
    earlier = order.client_order_id in unknown.open
    return FindingKind.EARLIER_ORDER if earlier else FindingKind.UNKNOWN_ORDER


def position_findings(
    books: Books, missing: Iterable[MissingFill], positions: Iterable[BrokerPosition], doubtful: Sequence[Activity] = ()
) -> Iterator[Finding]:
    """Yield a finding for each symbol on which the broker's positions and the quantities in the books differ.

    A reconcile calls this after applying the venue's facts; a pass calls it before it adds risk.
    """
    theirs = {position.symbol: position.quantity for position in positions if position.quantity}
    ours = books.quantities()
    traded = {symbol for _, symbol in books.totals.positions} | {fill.order.symbol for fill in missing}
    for symbol in sorted(ours.keys() | theirs.keys()):
        book, venue = ours.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if book != venue:
            reported = [activity for activity in doubtful if activity.symbol == symbol]
            kind = _kind_by_cause(_position_kind(book, venue, symbol in traded), reported)
            yield Finding(kind, symbol, book, venue, tuple(activity.words for activity in reported))


def _others(books: Books, booked: Mapping[str, Entry], unknown: UnknownOrders, both: Both) -> Iterator[Finding]:
    """Yield findings about shares that belong to someone else, even if the broker's net quantity agrees."""
    acknowledged = books.acknowledged
    for symbol, others in sorted(books.totals.foreign_quantities(acknowledged).items()):
        held_quantity, at_broker = both[symbol]
        if held_quantity * others < 0:
            yield Finding(FindingKind.OFFSET, symbol, held_quantity, at_broker)
        elif others != acknowledged.get(symbol, Decimal(0)):
            ends, copied = _option_ends(books, booked, symbol), _describe_orders(unknown.by_other_copies, symbol)
            kind = FindingKind.ANOTHER_COPY if copied else FindingKind.BY_HAND
            yield Finding(FindingKind.EXPIRY if ends else kind, symbol, held_quantity, at_broker, ends or copied)


def _liquidations(books: Books, both: Both) -> Iterator[Finding]:
    since = books.at - WATCHED
    foreign = (owned.fill for owned in books.with_others if is_waiting(owned) and owned.fill.liquidation)
    later_fills = [fill for fill in foreign if fill.at > since]
    for symbol in sorted({fill.symbol for fill in later_fills}):
        fills = [fill for fill in later_fills if fill.symbol == symbol]
        words = tuple(
            f"{fill.side.value} {fill.quantity:f} at {fill.price:f}, {fill.at:%Y-%m-%dT%H:%MZ}" for fill in fills
        )
        yield Finding(FindingKind.LIQUIDATION, symbol, *both[symbol], words)


def _option_ends(books: Books, booked: Mapping[str, Entry], symbol: str) -> tuple[str, ...]:
    """Describe the option events that added or removed shares of a symbol."""
    foreign = (o for o in books.with_others if o.fill.symbol == symbol and o.strategy == FOREIGN)
    entries = (booked.get(owned.about) for owned in foreign if owned.origin is Origin.ACTIVITY)
    return tuple(entry.words for entry in entries if entry and entry.meaning is ActivityKind.OPTION_TRADE)


def _position_kind(book: Decimal, venue: Decimal, traded: bool) -> FindingKind:
    if not book:
        return FindingKind.ORPHAN if traded else FindingKind.FOREIGN_POSITION
    if not venue:
        return FindingKind.PHANTOM
    return FindingKind.SIDE if (book > 0) != (venue > 0) else FindingKind.QUANTITY


def _kind_by_cause(kind: FindingKind, reported: Sequence[Activity]) -> FindingKind:
    """Return a more specific kind for a blocking difference if the broker reports its cause, such as a split."""
    kinds = {activity.meaning for activity in reported} if kind.blocking else set()
    if ActivityKind.SPLIT in kinds and kind is FindingKind.QUANTITY:
        return FindingKind.SPLIT
    return FindingKind.RENAME if ActivityKind.RENAME in kinds and kind is FindingKind.PHANTOM else kind


def _closed_notes(books: Books) -> Iterator[Position]:
    """Yield manual trades that closed all acknowledged shares of a symbol, if cash includes their profit."""
    if books.standing.settlement is Settlement.MARGINED:
        for symbol, noted in sorted(books.acknowledged.items()):
            trades = books.totals.positions.get((FOREIGN, symbol))
            if noted and trades and trades.quantity == -noted:
                yield trades


def _cash(books: Books, broker: BrokerView, both: Both, doubtful: Sequence[Activity]) -> Iterator[Finding]:
    """Yield a finding if our cash and the broker's differ by a cent or more, and one for each closed acknowledgment.

    A difference may be the acknowledged shares' profit, up to what they were closed for.
    """
    explained = Decimal(0)
    for trades in _closed_notes(books):
        explained += abs(trades.cost)
        words = tuple(f"{-lot.quantity:f} closed at {lot.price:f}, {lot.at:%Y-%m-%dT%H:%MZ}" for lot in trades.lots)
        yield Finding(FindingKind.NOTE_CLOSED, trades.symbol, *both[trades.symbol], words)
    theirs, rounding = cash_as_booked(books, broker)
    if abs(books.cash - theirs) >= CENT + rounding + explained:
        reported = tuple(activity.words for activity in doubtful if activity.net_amount)
        yield Finding(FindingKind.CASH, "account", books.cash, theirs, reported)


AVERAGE_STEP = Decimal("1e-6")
"""The precision to which a broker may round an average price."""


def cash_as_booked(books: Books, broker: BrokerView) -> tuple[Decimal, Decimal]:
    """Return the broker's cash as if it realized profit lot by lot, and the possible rounding error.

    In a cash account, cash doesn't depend on how lots are counted. In a margin account it does: the broker has one net
    position per symbol at an average price, and we have the lots of each strategy. Any difference in realized profit
    equals the difference in the cost of the open position, so the broker's cash is adjusted by that. If our lots and
    foreign lots cancel out, the broker has realized everything, and any average gives the same result. If part of the
    position was acknowledged as foreign, its cost is unknown, and no adjustment is possible.
    """
    cash = broker.account.cash
    if books.standing.settlement is Settlement.PAID:
        return cash, Decimal(0)
    average, quantity_by_symbol = {p.symbol: p.average_price for p in broker.positions}, books.quantities()
    positions = [p for p in books.totals.positions.values() if p.quantity and p.symbol not in books.acknowledged]
    at_cost = [
        position for position in positions if position.symbol in average or position.symbol not in quantity_by_symbol
    ]
    apart = (position.cost - position.value_at(average.get(position.symbol, Decimal(0))) for position in at_cost)
    rounding = sum((abs(position.value_at(AVERAGE_STEP)) for position in at_cost), Decimal(0))
    return cash + sum(apart, Decimal(0)), rounding


MOST = 8
"""Up to this many positions, targets are considered too; beyond that, each counts as closed by its stop."""


def assumed_exits(books: Books, broker: BrokerView, cash: Decimal) -> Mapping[str, OwnedFill]:
    """Return, by symbol, the fill that must have closed our whole position, at the price of a forgotten order.

    That order is the stop, unless the change in the broker's `cash` fits a target better.
    """
    held_symbols = {position.symbol for position in broker.positions if position.quantity}
    whole = [
        position
        for position in books.totals.own_positions()
        if books.quantities().get(position.symbol) == position.quantity
    ]
    gone = [
        (position, _forgotten_exits(books, position))
        for position in whole
        if position.quantity and position.symbol not in held_symbols
    ]
    choices = [[(position, order) for order in orders] for position, orders in gone if orders]
    if len(choices) > MOST:
        choices = [each[:1] for each in choices]
    gained = cash - books.cash

    def misses(chosen: Sequence[tuple[Position, Order]]) -> Decimal:
        return abs(gained - sum(position.value_at(_price(order)) - position.cost for position, order in chosen))

    best = min(product(*choices), key=misses)
    return {position.symbol: _fill(books, position, order) for position, order in best}


def _forgotten_exits(books: Books, position: Position) -> Sequence[Order]:
    """Return our orders that ended without a report and would have closed exactly this position, stops first."""

    def find_exits() -> Iterator[Order]:
        for order in books.orders:
            behind = books.intent_behind(order)
            closes = order.quantity == abs(position.quantity) and order.side.sign * position.quantity < 0
            ours = order.symbol == position.symbol and behind and behind.intent.key.strategy == position.strategy
            if order.status is OrderStatus.ENDED and closes and ours and _price(order):
                yield order

    return sorted(find_exits(), key=lambda order: order.stop_price is None)


def _price(order: Order) -> Decimal:
    return order.stop_price or order.limit_price or Decimal(0)


def _fill(books: Books, position: Position, order: Order) -> OwnedFill:
    name, size = f"assumed:{order.venue_id}", abs(position.quantity)
    fill = Fill(name, order.venue_id, order.symbol, order.side, size, _price(order), books.at, position.multiplier)
    return OwnedFill(position.strategy, fill, Origin.ASSUMED, order.venue_id)
