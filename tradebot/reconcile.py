"""The ledger's view against the broker's: findings, and what accepting them would write. Sends nothing."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tradebot.missing import MissingFill
from tradebot.model.account import BrokerView
from tradebot.model.activity import MARK, OPTION_TRADE, RENAME, SPLIT, Activity
from tradebot.model.intent import ID_PREFIX, IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, OwnedFill, fold_cash

CENT = Decimal("0.01")


class FindingKind(StrEnum):
    """What may differ."""

    UNREADABLE = "unreadable"
    UNKNOWN_ORDER = "unknown_order"
    FOREIGN_ORDER = "foreign_order"
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
    FindingKind.UNKNOWN_ORDER: Terms(
        "an order that is open, or filled today, carries our prefix, and these books never promised it", True, ""
    ),
    FindingKind.FOREIGN_ORDER: Terms("an open order that is not ours; left alone", False, ""),
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


HALF_KNOWN = frozenset({FindingKind.UNREADABLE, FindingKind.MISSING_FILL})
"""Findings beside which no plan is made: the differences may be of what was not told, and each plan books all cash."""


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
class LedgerView:
    """What the ledger holds, after the venue's facts were applied; `booked` are the activities' words by their ids.

    `missing` are our orders with more filled than booked, `strangers` the filled ones under our mark of somebody else.
    """

    opening_cash: Decimal
    cash_adjustments: Decimal
    fills: Sequence[OwnedFill]
    acknowledged: Mapping[str, Decimal]
    unresolved: Sequence[IntentRecord]
    known_orders: frozenset[str]
    booked: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[MissingFill] = ()
    strangers: Sequence[Order] = ()

    @property
    def cash(self) -> Decimal:
        """Return the cash that opening balance, fills and accepted movements give, USD."""
        return fold_cash(self.opening_cash, self.fills) + self.cash_adjustments

    def quantities(self) -> dict[str, Decimal]:
        """Return signed quantities by symbol, acknowledged foreign positions included, zero ones left out."""
        return _sums(self.fills, self.acknowledged)


def compare(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity] = ()) -> tuple[Finding, ...]:
    """Return every difference: what cannot be read, orders, whose positions are, positions by symbol, cash.

    `doubtful` are the broker's activities that are not booked, because they prove nothing by themselves.
    """
    return (
        *_unreadable(broker),
        *_orders(ledger, broker),
        *_missing(ledger),
        *_others(ledger, broker),
        *_positions(ledger, broker, doubtful),
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
            ours = order.client_order_id.startswith(ID_PREFIX)
            kind = FindingKind.UNKNOWN_ORDER if ours else FindingKind.FOREIGN_ORDER
            yield Finding(kind, order.client_order_id, None, order.quantity)
    listed = {order.venue_id for order in broker.orders}
    for order in ledger.strangers:
        if order.venue_id not in listed:
            yield Finding(FindingKind.UNKNOWN_ORDER, order.client_order_id, None, order.quantity)


def _positions(ledger: LedgerView, broker: BrokerView, doubtful: Sequence[Activity]) -> Iterator[Finding]:
    ours = ledger.quantities()
    theirs = {position.symbol: position.quantity for position in broker.positions if position.quantity}
    traded = {owned.fill.symbol for owned in ledger.fills} | {one.order.symbol for one in ledger.missing}
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
            ends = _ends_of_options(ledger, symbol)
            yield Finding(FindingKind.EXPIRY if ends else FindingKind.BY_HAND, symbol, held, there, ends)


def _ends_of_options(ledger: LedgerView, symbol: str) -> tuple[str, ...]:
    """Return the words of the options' ends that brought or took shares of a symbol."""
    ids = (o.fill.activity_id for o in ledger.fills if o.fill.symbol == symbol and o.strategy == FOREIGN)
    words = (ledger.booked.get(name.removeprefix(MARK).rpartition(":")[0], "") for name in ids if name.startswith(MARK))
    return tuple(said for said in words if said.startswith(OPTION_TRADE))


def own_quantities(fills: Sequence[OwnedFill]) -> dict[str, Decimal]:
    """Return our own signed quantities by symbol, over all strategies, zero ones left out."""
    return _sums((owned for owned in fills if owned.strategy != FOREIGN), {})


def foreign_quantities(fills: Sequence[OwnedFill], acknowledged: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what others hold by symbol: older than the books and acknowledged, or traded by hand since."""
    return _sums((owned for owned in fills if owned.strategy == FOREIGN), acknowledged)


def _sums(fills: Iterable[OwnedFill], start: Mapping[str, Decimal]) -> dict[str, Decimal]:
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


def fingerprint(broker: BrokerView) -> str:
    """Return a short digest of what a plan relies on, so that a plan made of an older view is refused."""
    parts = [str(broker.account.cash)]
    parts += sorted(f"{p.symbol}={p.quantity}" for p in broker.positions)
    parts += sorted(f"{o.client_order_id}={o.filled_quantity}" for o in broker.orders)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Plan:
    """What accepting would write: adjustments of the books, made of one view of the broker."""

    id: str
    fingerprint: str
    findings: tuple[Finding, ...]


def plan_of(findings: Sequence[Finding], broker: BrokerView) -> Plan | None:
    """Return the plan that would make the books agree, or None where nothing can be written."""
    wanted = tuple(finding for finding in findings if finding.applicable)
    if not wanted or any(finding.kind in HALF_KNOWN for finding in findings):
        return None
    mark = fingerprint(broker)
    content = "\n".join(f"{f.kind} {f.subject} {f.ours} {f.broker} {' '.join(f.evidence)}" for f in wanted)
    digest = hashlib.sha256(f"{mark}\n{content}".encode()).hexdigest()[:8]
    return Plan(f"plan-{digest}", mark, wanted)
