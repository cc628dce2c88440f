"""Compare the ledger's view with the broker's, as findings and what accepting each would write. Sends nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.activity import OPTION_TRADE, RENAME, SPLIT, Activity, Entry
from tradebot.model.books import Books
from tradebot.model.intent import is_marked
from tradebot.model.order import Order
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN
from tradebot.reconciliation.missing_fills import MissingFill

CENT = Decimal("0.01")


class FindingKind(StrEnum):
    """The ways in which the books and the broker can differ."""

    UNREADABLE = "unreadable"
    VIEW_UNSTEADY = "view_unsteady"
    UNKNOWN_ORDER = "unknown_order"
    EARLIER_ORDER = "earlier_order"
    UNKNOWN_PAIR = "unknown_pair"
    FOREIGN_ORDER = "foreign_order"
    ORDER_LEFT_OUT = "order_left_out"
    MISSING_FILL = "missing_fill"
    FOREIGN_POSITION = "foreign_position"
    PHANTOM = "phantom"
    ORPHAN = "orphan"
    QUANTITY = "quantity"
    SIDE = "side"
    OFFSET = "offset"
    BY_HAND = "by_hand"
    MISSING_STOP = "missing_stop"
    CASH = "cash"
    SPLIT = "split"
    RENAME = "rename"
    FORGOTTEN = "forgotten"
    ANOTHER_COPY = "another_copy"
    EXPIRY = "expiry_or_assignment"
    ACCOUNT_RESET = "account_reset"
    UNRESOLVED = "unresolved"


class Terms(NamedTuple):
    """What a kind of finding means, whether it blocks entries, and what an accepted plan writes for it."""

    meaning: str
    blocking: bool
    writes: str


TERMS: Mapping[FindingKind, Terms] = {
    FindingKind.UNREADABLE: Terms(
        "the broker returned rows we can't read, so no difference can be trusted and no plan is made", True, ""
    ),
    FindingKind.VIEW_UNSTEADY: Terms(
        "the broker's list of positions and its answer about this symbol alone disagree, so no difference can be"
        " trusted and no plan is made",
        True,
        "",
    ),
    FindingKind.UNKNOWN_ORDER: Terms(
        "an order that is open, or filled today, carries our mark, but these books never promised it", True, ""
    ),
    FindingKind.EARLIER_ORDER: Terms(
        "an open order that the bot sent earlier and these books don't know; left alone until it ends, or until a"
        " person closes the bot's position with flatten SYMBOL, which cancels it first",
        True,
        "",
    ),
    FindingKind.UNKNOWN_PAIR: Terms(
        "a stop under our mark protects a position of ours, but these books never promised it: an older copy of the"
        " folder was restored, or another copy of the bot runs; it keeps protecting, and holds the shares it protects",
        True,
        "takes it over, so that exits go through it; accept only if no other copy of the bot runs on this account",
    ),
    FindingKind.FOREIGN_ORDER: Terms("an open order that is not ours; left alone", False, ""),
    FindingKind.ORDER_LEFT_OUT: Terms(
        "the broker's list of open orders is missing one of our orders that may still be open; it counts as working,"
        " and the bot opens nothing on its symbol",
        False,
        "",
    ),
    FindingKind.MISSING_FILL: Terms(
        "one of our orders has filled more than the broker's list of fills shows; no plan is made until the list is"
        " complete or the order's last update is four days old",
        True,
        "",
    ),
    FindingKind.FOREIGN_POSITION: Terms(
        "a position the bot did not open; counted in the limits, left alone", False, "notes it as known and left alone"
    ),
    FindingKind.PHANTOM: Terms(
        "the books hold a position that the broker does not", True, "removes it from the books, closed at cost"
    ),
    FindingKind.ORPHAN: Terms(
        "the broker holds shares that the books have closed, and no fill says whose they are",
        True,
        "adds it as foreign, at the last price",
    ),
    FindingKind.QUANTITY: Terms(
        "the books and the broker hold different quantities", True, "adopts the broker's quantity, at cost"
    ),
    FindingKind.SIDE: Terms(
        "the books and the broker are on opposite sides", True, "adopts the broker's quantity, at cost"
    ),
    FindingKind.BY_HAND: Terms(
        "traded by hand since the books began; counted in the limits, left alone until adopted", False, ""
    ),
    FindingKind.OFFSET: Terms(
        "someone else's trade closed a position the bot opened", True, "assigns that trade to the position it closed"
    ),
    FindingKind.FORGOTTEN: Terms(
        "orders under our mark that these books don't know made this, even if it was noted as known: an older copy of"
        " the folder was restored, the books were rebuilt, or another copy of the bot ran while these books were not in"
        " use",
        True,
        "takes over those orders, and exits manage what is left; accept only if no other copy of the bot runs on this"
        " account",
    ),
    FindingKind.ANOTHER_COPY: Terms(
        "orders under our mark that were sent while these books were in use made this: another copy of the bot is"
        " running, or an older copy of the folder was restored during the session; left alone until adopted",
        True,
        "",
    ),
    FindingKind.MISSING_STOP: Terms(
        "one of our positions has no working exit order, and no exit rule or no stop that can act", False, ""
    ),
    FindingKind.CASH: Terms(
        "cash differs from the opening balance plus fills", True, "books the difference as a cash movement"
    ),
    FindingKind.SPLIT: Terms(
        "the broker reports a split, but its position does not prove the ratio",
        True,
        "restates quantity, average and best price to the broker's quantity, at the same cost",
    ),
    FindingKind.RENAME: Terms(
        "the broker reports a new symbol, but its positions do not prove which",
        True,
        "removes the old symbol at cost; the new one is noted as foreign until it is adopted",
    ),
    FindingKind.EXPIRY: Terms(
        "an option's expiry, exercise or assignment brought or took these shares; left alone until adopted", False, ""
    ),
    FindingKind.ACCOUNT_RESET: Terms(
        "the account was reset, or it is a different account, so these books don't belong to it; they stay as they are"
        " and can still be read",
        True,
        "",
    ),
    FindingKind.UNRESOLVED: Terms(
        "an order was promised, but we don't know what became of it; every pass looks it up", False, ""
    ),
}


CHANGES_A_POSITION = frozenset(
    {
        FindingKind.PHANTOM,
        FindingKind.ORPHAN,
        FindingKind.QUANTITY,
        FindingKind.SIDE,
        FindingKind.SPLIT,
        FindingKind.RENAME,
    }
)
"""Kinds that a plan settles by writing the broker's quantity into the books."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: quantities are signed shares, cash is in USD; `subject` is a symbol, an order id or the account.

    `evidence` is what the broker's activities or the exit rules say about it.
    """

    kind: FindingKind
    subject: str
    ours: Decimal | None
    broker: Decimal | None
    evidence: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """Return what the finding means, in words."""
        return TERMS[self.kind].meaning

    @property
    def writes(self) -> str:
        """Return what accepting a plan writes for it; empty if no plan settles it."""
        return TERMS[self.kind].writes

    @property
    def blocking(self) -> bool:
        """Return True if the finding blocks entries."""
        return TERMS[self.kind].blocking

    @property
    def applicable(self) -> bool:
        """Return True if accepting a plan writes something for it."""
        return bool(self.writes)


@dataclass(frozen=True, slots=True)
class UnknownOrders:
    """Orders with our mark that these books never promised.

    `forgotten` are our own earlier orders that wait to be taken over. `by_other_copies` are orders of another copy of
    the bot, of any age; `recent_by_other_copies` are those that filled today and that nobody accepted by ending a halt.
    `open` holds the ids of our own earlier orders that are still working, and `protecting` those of orders that protect
    a position of ours, with the strategy that holds it.
    """

    forgotten: tuple[Order, ...] = ()
    by_other_copies: tuple[Order, ...] = ()
    recent_by_other_copies: tuple[Order, ...] = ()
    open: frozenset[str] = frozenset()
    protecting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The books after the venue's facts were applied, with what follows from them.

    `booked` are the activities behind foreign fills by their ids. `missing` are our orders that have filled more than
    is booked, `working` those that may still fill.
    """

    books: Books
    booked: Mapping[str, Entry] = field(default_factory=dict)
    missing: Sequence[MissingFill] = ()
    unknown: UnknownOrders = field(default_factory=UnknownOrders)
    working: Sequence[Order] = ()


def compare(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity] = ()) -> tuple[Finding, ...]:
    """Return every difference: unreadable rows, orders, owners of positions, quantities by symbol, then cash.

    `doubtful` are the broker's activities that are not booked because they prove nothing by themselves.
    """
    return (
        *_unreadable(broker),
        *_orders(ledger, broker),
        *_missing(ledger),
        *_forgotten(ledger, broker),
        *(one for one in _others(ledger, broker) if not _is_explained_by_forgotten(one, ledger)),
        *(one for one in _positions(ledger, broker, doubtful) if not _is_explained_by_forgotten(one, ledger)),
        *_cash(ledger, broker, doubtful),
    )


def _unreadable(broker: BrokerView) -> Iterator[Finding]:
    if broker.unreadable:
        yield Finding(FindingKind.UNREADABLE, "account", None, None, (f"rows left out: {broker.unreadable}",))


def _missing(ledger: LedgerView) -> Iterator[Finding]:
    for order, booked in ledger.missing:
        ours, reported = booked * order.side.sign or Decimal(0), order.filled_quantity * order.side.sign
        yield Finding(FindingKind.MISSING_FILL, order.symbol, ours, reported, (f"order {order.client_order_id}",))


def _orders(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    for record in ledger.books.unresolved:
        yield Finding(FindingKind.UNRESOLVED, record.intent.client_order_id, record.intent.quantity, None)
    listed = {order.venue_id for order in broker.orders}
    for order in broker.orders:
        # What there is to say of a pair is said of its first order.
        told = order.parent in listed or ledger.books.is_our_leg(order)
        if order.client_order_id not in ledger.books.promised and not told:
            yield Finding(_order_kind(order, ledger), order.client_order_id, None, order.quantity)
    for order in ledger.unknown.recent_by_other_copies:
        if order.venue_id not in listed:
            yield Finding(FindingKind.UNKNOWN_ORDER, order.client_order_id, None, order.quantity)
    for order in ledger.working:
        if order.venue_id not in listed:
            yield Finding(FindingKind.ORDER_LEFT_OUT, order.client_order_id, order.open_quantity, None)


def _forgotten(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    """Yield one finding for each symbol that our earlier orders traded, with those orders as evidence."""
    theirs = {position.symbol: position.quantity for position in broker.positions}
    own = ledger.books.totals.own_quantities()
    for symbol in sorted({order.symbol for order in ledger.unknown.forgotten}):
        held, at_broker = own.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        evidence = _describe_orders(ledger.unknown.forgotten, symbol)
        yield Finding(FindingKind.FORGOTTEN, symbol, held, at_broker, evidence)


def _describe_orders(orders: Iterable[Order], symbol: str) -> tuple[str, ...]:
    of_symbol = (order for order in orders if order.symbol == symbol)
    return tuple(f"{order.client_order_id}: {order.side} {order.filled_quantity:f}" for order in of_symbol)


def _is_explained_by_forgotten(finding: Finding, ledger: LedgerView) -> bool:
    """Return True if our earlier orders may explain a difference; whatever is left of it shows up afterwards."""
    return finding.subject in {order.symbol for order in ledger.unknown.forgotten}


def _order_kind(order: Order, ledger: LedgerView) -> FindingKind:
    if not is_marked(order.client_order_id):
        return FindingKind.FOREIGN_ORDER
    if order.client_order_id in ledger.unknown.protecting:
        return FindingKind.UNKNOWN_PAIR
    earlier = order.client_order_id in ledger.unknown.open
    return FindingKind.EARLIER_ORDER if earlier else FindingKind.UNKNOWN_ORDER


def _positions(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity]) -> Iterator[Finding]:
    yield from position_findings(ledger.books, ledger.missing, broker.positions, doubtful)


def position_findings(
    books: Books,
    missing: Iterable[MissingFill],
    positions: Iterable[BrokerPosition],
    doubtful: Sequence[Activity] = (),
) -> Iterator[Finding]:
    """Yield a finding for each symbol on which the broker's positions and the quantities in the books differ.

    A reconcile calls this after applying everything; a pass calls it before it adds risk.
    """
    theirs = {position.symbol: position.quantity for position in positions if position.quantity}
    ours = books.quantities()
    traded = {symbol for _, symbol in books.totals.positions} | {one.order.symbol for one in missing}
    for symbol in sorted(ours.keys() | theirs.keys()):
        book, venue = ours.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if book != venue:
            reported = [one for one in doubtful if one.symbol == symbol]
            kind = _kind_by_cause(_position_kind(book, venue, symbol in traded), reported)
            yield Finding(kind, symbol, book, venue, tuple(one.words for one in reported))


def _others(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    """Yield findings about shares that belong to someone else, even if the broker's net quantity agrees.

    Foreign shares against our own position leave less of it to close. Shares traded by hand since the books began are
    reported so that nobody takes them for ours.
    """
    theirs = {position.symbol: position.quantity for position in broker.positions}
    acknowledged = ledger.books.acknowledged
    foreign = ledger.books.totals.foreign_quantities(acknowledged)
    own = ledger.books.totals.own_quantities()
    for symbol, others in sorted(foreign.items()):
        held, at_broker = own.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if held * others < 0:
            yield Finding(FindingKind.OFFSET, symbol, held, at_broker)
        elif others != acknowledged.get(symbol, Decimal(0)):
            ends, copied = _option_ends(ledger, symbol), _describe_orders(ledger.unknown.by_other_copies, symbol)
            kind = FindingKind.ANOTHER_COPY if copied else FindingKind.BY_HAND
            yield Finding(FindingKind.EXPIRY if ends else kind, symbol, held, at_broker, ends or copied)


def _option_ends(ledger: LedgerView, symbol: str) -> tuple[str, ...]:
    """Return descriptions of the option events that added or took away shares of a symbol."""
    foreign = (o for o in ledger.books.with_others if o.fill.symbol == symbol and o.strategy == FOREIGN)
    booked = (ledger.booked.get(owned.about) for owned in foreign if owned.origin is Origin.ACTIVITY)
    return tuple(entry.words for entry in booked if entry and entry.kind == OPTION_TRADE)


def _position_kind(book: Decimal, venue: Decimal, traded: bool) -> FindingKind:
    if not book:
        return FindingKind.ORPHAN if traded else FindingKind.FOREIGN_POSITION
    if not venue:
        return FindingKind.PHANTOM
    return FindingKind.SIDE if (book > 0) != (venue > 0) else FindingKind.QUANTITY


def _kind_by_cause(kind: FindingKind, reported: Sequence[Activity]) -> FindingKind:
    """Return a more specific kind for a blocking difference if the broker reports its cause, such as a split."""
    kinds = {one.kind for one in reported} if TERMS[kind].blocking else set()
    if SPLIT in kinds and kind is FindingKind.QUANTITY:
        return FindingKind.SPLIT
    return FindingKind.RENAME if RENAME in kinds and kind is FindingKind.PHANTOM else kind


def _cash(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity]) -> Iterator[Finding]:
    """Yield a finding if our cash and the broker's differ by a cent or more."""
    if abs(ledger.books.cash - broker.account.cash) >= CENT:
        reported = tuple(one.words for one in doubtful if one.net_amount)
        yield Finding(FindingKind.CASH, "account", ledger.books.cash, broker.account.cash, reported)
