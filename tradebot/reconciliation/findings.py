"""The ledger's view against the broker's: findings, and what accepting them would write. Sends nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.activity import OPTION_TRADE, RENAME, SPLIT, Activity, Entry
from tradebot.model.intent import IntentRecord, is_marked
from tradebot.model.order import Order
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN, OwnedFill, fold_cash
from tradebot.reconciliation.missing_fills import MissingFill

CENT = Decimal("0.01")


class FindingKind(StrEnum):
    """What may differ."""

    UNREADABLE = "unreadable"
    VIEW_UNSTEADY = "view_unsteady"
    UNKNOWN_ORDER = "unknown_order"
    EARLIER_ORDER = "earlier_order"
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
    """What a kind of finding means, whether entries stay shut while it stands, and what an accepted plan writes."""

    meaning: str
    blocking: bool
    writes: str


TERMS: Mapping[FindingKind, Terms] = {
    FindingKind.UNREADABLE: Terms(
        "rows of the broker cannot be read: no difference can be believed, and no plan is made", True, ""
    ),
    FindingKind.VIEW_UNSTEADY: Terms(
        "the broker's list of positions and its answer about this symbol alone differ: no difference can be believed,"
        " and no plan is made",
        True,
        "",
    ),
    FindingKind.UNKNOWN_ORDER: Terms(
        "an order that is open, or filled today, carries our prefix, and these books never promised it", True, ""
    ),
    FindingKind.EARLIER_ORDER: Terms(
        "an open order of ours from before that these books do not know; left alone until it has ended", True, ""
    ),
    FindingKind.FOREIGN_ORDER: Terms("an open order that is not ours; left alone", False, ""),
    FindingKind.ORDER_LEFT_OUT: Terms(
        "the broker's list of open orders leaves out an order of ours that is not proven to be over: it counts as"
        " working, and its symbol takes no entry",
        False,
        "",
    ),
    FindingKind.MISSING_FILL: Terms(
        "an order of ours has filled more than the broker's list of fills has brought: no plan is made until it is"
        " complete, or the order's last word is four days old",
        True,
        "",
    ),
    FindingKind.FOREIGN_POSITION: Terms(
        "a position that we did not open; counted in the limits, left alone", False, "notes it as known and left alone"
    ),
    FindingKind.PHANTOM: Terms(
        "the books hold a position that the broker does not", True, "gives it up, closed at what it cost"
    ),
    FindingKind.ORPHAN: Terms(
        "the broker holds what the books have closed, and no fill says whose it is",
        True,
        "takes it in as foreign, at the last price",
    ),
    FindingKind.QUANTITY: Terms(
        "the books and the broker hold different quantities", True, "takes over the broker's quantity, at cost"
    ),
    FindingKind.SIDE: Terms(
        "the books and the broker are on opposite sides", True, "takes over the broker's quantity, at cost"
    ),
    FindingKind.BY_HAND: Terms(
        "traded by hand since the books began; counted in the limits, left alone until adopted", False, ""
    ),
    FindingKind.OFFSET: Terms(
        "what the bot opened was closed by a trade that is not the bot's",
        True,
        "gives that trade to the position that it closed",
    ),
    FindingKind.FORGOTTEN: Terms(
        "orders under our mark that these books do not know made this, even if it was noted as known: an older copy of"
        " the folder was put back, the books were made anew, or another copy of the bot was at work while these books"
        " were not",
        True,
        "takes those orders over: exits manage what is left; only if no other copy of the bot runs on this account",
    ),
    FindingKind.ANOTHER_COPY: Terms(
        "orders under our mark that came while these books were at work made this: another copy of the bot, or an older"
        " copy of the folder put back within the session; left alone until tradebot adopt names it",
        True,
        "",
    ),
    FindingKind.MISSING_STOP: Terms("a position of ours that no working exit and no rule protects now", False, ""),
    FindingKind.CASH: Terms(
        "cash differs from what opening balance and fills give", True, "books the difference as a cash movement"
    ),
    FindingKind.SPLIT: Terms(
        "the broker tells of a split, and what it holds does not prove the ratio",
        True,
        "restates quantity, average and best price to the broker's quantity, at the same cost",
    ),
    FindingKind.RENAME: Terms(
        "the broker tells of a new name, and what it holds does not prove which",
        True,
        "gives the old name up at cost; the new one is noted as foreign until it is adopted",
    ),
    FindingKind.EXPIRY: Terms(
        "shares that an option's expiry, exercise or assignment brought or took; left alone until adopted", False, ""
    ),
    FindingKind.ACCOUNT_RESET: Terms(
        "the account was begun anew, or is another: these books are not of it; they stay as they are, readable",
        True,
        "",
    ),
    FindingKind.UNRESOLVED: Terms(
        "an order was promised and its fate is unknown; it is looked up at each pass", False, ""
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
"""What a plan settles by writing the broker's quantity into the books."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: quantities are signed shares, cash in USD; `subject` is a symbol, an order id or the account.

    `evidence` is what the broker's activities, or the exit rules, say of it.
    """

    kind: FindingKind
    subject: str
    ours: Decimal | None
    broker: Decimal | None
    evidence: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """Return the finding in words."""
        return TERMS[self.kind].meaning

    @property
    def writes(self) -> str:
        """Return what accepting a plan writes for it; empty where no plan settles it."""
        return TERMS[self.kind].writes

    @property
    def blocking(self) -> bool:
        """Tell whether entries stay shut while it stands."""
        return TERMS[self.kind].blocking

    @property
    def applicable(self) -> bool:
        """Tell whether accepting a plan writes it into the books."""
        return bool(self.writes)


@dataclass(frozen=True, slots=True)
class UnknownOrders:
    """Orders under our mark that were never promised here.

    `forgotten` are ours from before and wait to be taken over, `copies` are those of another copy of the bot, of any
    age; `strangers` those of them that filled today and that nobody accepted by ending a halt. `open` are the ids of
    ours from before that still work.
    """

    forgotten: tuple[Order, ...] = ()
    copies: tuple[Order, ...] = ()
    strangers: tuple[Order, ...] = ()
    open: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the ledger holds, after the venue's facts were applied; `booked` are the activities by their ids.

    `missing` are our orders with more filled than booked, `working` those that are not proven to be over.
    """

    opening_cash: Decimal
    cash_adjustments: Decimal
    fills: Sequence[OwnedFill]
    acknowledged: Mapping[str, Decimal]
    unresolved: Sequence[IntentRecord]
    known_orders: Collection[str]
    booked: Mapping[str, Entry] = field(default_factory=dict)
    missing: Sequence[MissingFill] = ()
    unknown: UnknownOrders = field(default_factory=UnknownOrders)
    working: Sequence[Order] = ()

    @property
    def cash(self) -> Decimal:
        """Return the cash that opening balance, fills and accepted movements give, USD."""
        return fold_cash(self.opening_cash, self.fills) + self.cash_adjustments

    def quantities(self) -> dict[str, Decimal]:
        """Return signed quantities by symbol, acknowledged foreign positions included, zero ones left out."""
        return quantities(self.fills, self.acknowledged)


def compare(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity] = ()) -> tuple[Finding, ...]:
    """Return every difference: what cannot be read, orders, whose positions are, positions by symbol, cash.

    `doubtful` are the broker's activities that are not booked, because they prove nothing by themselves.
    """
    return (
        *_unreadable(broker),
        *_orders(ledger, broker),
        *_missing(ledger),
        *_forgotten(ledger, broker),
        *(one for one in _others(ledger, broker) if not _is_claimed(one, ledger)),
        *(one for one in _positions(ledger, broker, doubtful) if not _is_claimed(one, ledger)),
        *_cash(ledger, broker, doubtful),
    )


def _unreadable(broker: BrokerView) -> Iterator[Finding]:
    if broker.unreadable:
        yield Finding(FindingKind.UNREADABLE, "account", None, None, (f"rows left out: {broker.unreadable}",))


def _missing(ledger: LedgerView) -> Iterator[Finding]:
    for order, booked in ledger.missing:
        ours, told = booked * order.side.sign or Decimal(0), order.filled_quantity * order.side.sign
        yield Finding(FindingKind.MISSING_FILL, order.symbol, ours, told, (f"order {order.client_order_id}",))


def _orders(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    for record in ledger.unresolved:
        yield Finding(FindingKind.UNRESOLVED, record.intent.client_order_id, record.intent.quantity, None)
    for order in broker.orders:
        if order.client_order_id not in ledger.known_orders:
            yield Finding(_order_kind(order, ledger), order.client_order_id, None, order.quantity)
    listed = {order.venue_id for order in broker.orders}
    for order in ledger.unknown.strangers:
        if order.venue_id not in listed:
            yield Finding(FindingKind.UNKNOWN_ORDER, order.client_order_id, None, order.quantity)
    for order in ledger.working:
        if order.venue_id not in listed:
            yield Finding(FindingKind.ORDER_LEFT_OUT, order.client_order_id, order.open_quantity, None)


def _forgotten(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    """Yield the symbols that our own orders from before traded, one finding each, with those orders as evidence."""
    theirs = {position.symbol: position.quantity for position in broker.positions}
    own = own_quantities(ledger.fills)
    for symbol in sorted({order.symbol for order in ledger.unknown.forgotten}):
        held, there = own.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        yield Finding(FindingKind.FORGOTTEN, symbol, held, there, _told(ledger.unknown.forgotten, symbol))


def _told(orders: Iterable[Order], symbol: str) -> tuple[str, ...]:
    of_symbol = (order for order in orders if order.symbol == symbol)
    return tuple(f"{order.client_order_id}: {order.side} {order.filled_quantity:f}" for order in of_symbol)


def _is_claimed(finding: Finding, ledger: LedgerView) -> bool:
    """Return True if our own orders from before explain a difference, or may: what is left of it shows afterwards."""
    return finding.subject in {order.symbol for order in ledger.unknown.forgotten}


def _order_kind(order: Order, ledger: LedgerView) -> FindingKind:
    if not is_marked(order.client_order_id):
        return FindingKind.FOREIGN_ORDER
    earlier = order.client_order_id in ledger.unknown.open
    return FindingKind.EARLIER_ORDER if earlier else FindingKind.UNKNOWN_ORDER


def _positions(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity]) -> Iterator[Finding]:
    yield from position_findings(ledger.quantities(), ledger.fills, ledger.missing, broker.positions, doubtful)


def position_findings(
    ours: Mapping[str, Decimal],
    fills: Iterable[OwnedFill],
    missing: Iterable[MissingFill],
    positions: Iterable[BrokerPosition],
    doubtful: Sequence[Activity] = (),
) -> Iterator[Finding]:
    """Yield where the broker's positions are not what the books hold, `ours` by symbol, and what kind of difference.

    A reconcile asks this of everything that was applied; a pass asks it before it adds risk.
    """
    theirs = {position.symbol: position.quantity for position in positions if position.quantity}
    traded = {owned.fill.symbol for owned in fills} | {one.order.symbol for one in missing}
    for symbol in sorted(ours.keys() | theirs.keys()):
        book, venue = ours.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if book != venue:
            told = [one for one in doubtful if one.symbol == symbol]
            kind = _named_cause(_position_kind(book, venue, symbol in traded), told)
            yield Finding(kind, symbol, book, venue, tuple(one.words for one in told))


def _others(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    """The broker nets what different owners hold, so the sums may agree while the shares are somebody else's.

    What stands against our own position leaves less of it to close; what was traded by hand since the books began is
    told, so that nobody takes it for ours.
    """
    theirs = {position.symbol: position.quantity for position in broker.positions}
    foreign = foreign_quantities(ledger.fills, ledger.acknowledged)
    own = own_quantities(ledger.fills)
    for symbol, others in sorted(foreign.items()):
        held, there = own.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if held * others < 0:
            yield Finding(FindingKind.OFFSET, symbol, held, there)
        elif others != ledger.acknowledged.get(symbol, Decimal(0)):
            ends, copied = _ends_of_options(ledger, symbol), _told(ledger.unknown.copies, symbol)
            kind = FindingKind.ANOTHER_COPY if copied else FindingKind.BY_HAND
            yield Finding(FindingKind.EXPIRY if ends else kind, symbol, held, there, ends or copied)


def _ends_of_options(ledger: LedgerView, symbol: str) -> tuple[str, ...]:
    """Return the words of the options' ends that brought or took shares of a symbol."""
    foreign = (owned for owned in ledger.fills if owned.fill.symbol == symbol and owned.strategy == FOREIGN)
    booked = (ledger.booked.get(owned.about) for owned in foreign if owned.origin is Origin.ACTIVITY)
    return tuple(entry.words for entry in booked if entry and entry.kind == OPTION_TRADE)


def own_quantities(fills: Sequence[OwnedFill]) -> dict[str, Decimal]:
    """Return our own signed quantities by symbol, over all strategies, zero ones left out."""
    return quantities((owned for owned in fills if owned.strategy != FOREIGN), {})


def foreign_quantities(fills: Sequence[OwnedFill], acknowledged: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what others hold by symbol: older than the books and acknowledged, or traded by hand since."""
    return quantities((owned for owned in fills if owned.strategy == FOREIGN), acknowledged)


def quantities(fills: Iterable[OwnedFill], start: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return signed quantities by symbol after all fills, from those at the start; zero ones are left out."""
    held = dict(start)
    for owned in fills:
        held[owned.fill.symbol] = held.get(owned.fill.symbol, Decimal(0)) + owned.fill.signed_quantity
    return {symbol: quantity for symbol, quantity in held.items() if quantity}


def _position_kind(book: Decimal, venue: Decimal, traded: bool) -> FindingKind:
    if not book:
        return FindingKind.ORPHAN if traded else FindingKind.FOREIGN_POSITION
    if not venue:
        return FindingKind.PHANTOM
    return FindingKind.SIDE if (book > 0) != (venue > 0) else FindingKind.QUANTITY


def _named_cause(kind: FindingKind, told: Sequence[Activity]) -> FindingKind:
    """Name a difference that keeps entries shut by what the broker tells of its cause."""
    kinds = {one.kind for one in told} if TERMS[kind].blocking else set()
    if SPLIT in kinds and kind is FindingKind.QUANTITY:
        return FindingKind.SPLIT
    return FindingKind.RENAME if RENAME in kinds and kind is FindingKind.PHANTOM else kind


def _cash(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity]) -> Iterator[Finding]:
    """Cash is compared to the cent, as the broker tells it."""
    if abs(ledger.cash - broker.account.cash) >= CENT:
        told = tuple(one.words for one in doubtful if one.net_amount)
        yield Finding(FindingKind.CASH, "account", ledger.cash, broker.account.cash, told)
