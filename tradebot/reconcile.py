"""The ledger's view against the broker's: findings, and what accepting them would write. Sends nothing."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tradebot.model.account import BrokerView
from tradebot.model.intent import ID_PREFIX, IntentRecord
from tradebot.model.position import FOREIGN, OwnedFill, fold_cash

CENT = Decimal("0.01")


class FindingKind(StrEnum):
    """What may differ."""

    UNKNOWN_ORDER = "unknown_order"
    FOREIGN_ORDER = "foreign_order"
    FOREIGN_POSITION = "foreign_position"
    PHANTOM = "phantom"
    QUANTITY = "quantity"
    SIDE = "side"
    OFFSET = "offset"
    BY_HAND = "by_hand"
    CASH = "cash"
    UNRESOLVED = "unresolved"


_MEANING: Mapping[FindingKind, str] = {
    FindingKind.UNKNOWN_ORDER: "an open order carries our prefix, and these books never promised it",
    FindingKind.FOREIGN_ORDER: "an open order that is not ours; left alone",
    FindingKind.FOREIGN_POSITION: "a position that we did not open; counted in the limits, left alone",
    FindingKind.PHANTOM: "the books hold a position that the broker does not",
    FindingKind.QUANTITY: "the books and the broker hold different quantities",
    FindingKind.SIDE: "the books and the broker are on opposite sides",
    FindingKind.BY_HAND: "traded by hand since the books began; counted in the limits, left alone until adopted",
    FindingKind.OFFSET: "what the bot opened was closed by a trade that is not the bot's",
    FindingKind.CASH: "cash differs from what opening balance and fills give",
    FindingKind.UNRESOLVED: "an order was promised and its fate is unknown; it is looked up at each pass",
}
_BLOCKING = frozenset(
    {
        FindingKind.UNKNOWN_ORDER,
        FindingKind.PHANTOM,
        FindingKind.QUANTITY,
        FindingKind.SIDE,
        FindingKind.OFFSET,
        FindingKind.CASH,
    }
)
_APPLICABLE = frozenset(
    {
        FindingKind.FOREIGN_POSITION,
        FindingKind.PHANTOM,
        FindingKind.QUANTITY,
        FindingKind.SIDE,
        FindingKind.OFFSET,
        FindingKind.CASH,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference: quantities are signed shares, cash in USD; `subject` is a symbol, an order id or the account."""

    kind: FindingKind
    subject: str
    ours: Decimal | None
    broker: Decimal | None

    @property
    def meaning(self) -> str:
        """Return the finding in words."""
        return _MEANING[self.kind]

    @property
    def blocking(self) -> bool:
        """Tell whether entries stay shut while it stands."""
        return self.kind in _BLOCKING

    @property
    def applicable(self) -> bool:
        """Tell whether accepting a plan writes it into the books."""
        return self.kind in _APPLICABLE


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What the ledger holds, after the venue's facts were applied."""

    opening_cash: Decimal
    cash_adjustments: Decimal
    fills: Sequence[OwnedFill]
    acknowledged: Mapping[str, Decimal]
    unresolved: Sequence[IntentRecord]
    known_orders: frozenset[str]

    @property
    def cash(self) -> Decimal:
        """Return the cash that opening balance, fills and accepted movements give, USD."""
        return fold_cash(self.opening_cash, self.fills) + self.cash_adjustments

    def quantities(self) -> dict[str, Decimal]:
        """Return signed quantities by symbol, acknowledged foreign positions included, zero ones left out."""
        return _sums(self.fills, self.acknowledged)


def compare(ledger: LedgerView, broker: BrokerView) -> tuple[Finding, ...]:
    """Return every difference: orders, then whose positions are, then positions by symbol, then cash."""
    return (*_orders(ledger, broker), *_others(ledger, broker), *_positions(ledger, broker), *_cash(ledger, broker))


def _orders(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    for record in ledger.unresolved:
        yield Finding(FindingKind.UNRESOLVED, record.intent.client_order_id, record.intent.quantity, None)
    for order in broker.orders:
        if order.client_order_id not in ledger.known_orders:
            ours = order.client_order_id.startswith(ID_PREFIX)
            kind = FindingKind.UNKNOWN_ORDER if ours else FindingKind.FOREIGN_ORDER
            yield Finding(kind, order.client_order_id, None, order.quantity)


def _positions(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    ours = ledger.quantities()
    theirs = {position.symbol: position.quantity for position in broker.positions if position.quantity}
    traded = {owned.fill.symbol for owned in ledger.fills}
    for symbol in sorted(ours.keys() | theirs.keys()):
        book, venue = ours.get(symbol, Decimal(0)), theirs.get(symbol, Decimal(0))
        if book != venue:
            yield Finding(_position_kind(book, venue, symbol in traded), symbol, book, venue)


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
            yield Finding(FindingKind.BY_HAND, symbol, held, there)


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
        return FindingKind.QUANTITY if traded else FindingKind.FOREIGN_POSITION
    if not venue:
        return FindingKind.PHANTOM
    return FindingKind.SIDE if (book > 0) != (venue > 0) else FindingKind.QUANTITY


def _cash(ledger: LedgerView, broker: BrokerView) -> Iterator[Finding]:
    """Cash is compared to the cent, as the broker tells it."""
    if abs(ledger.cash - broker.account.cash) >= CENT:
        yield Finding(FindingKind.CASH, "account", ledger.cash, broker.account.cash)


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
    if not wanted:
        return None
    mark = fingerprint(broker)
    content = "\n".join(f"{f.kind} {f.subject} {f.ours} {f.broker}" for f in wanted)
    digest = hashlib.sha256(f"{mark}\n{content}".encode()).hexdigest()[:8]
    return Plan(f"plan-{digest}", mark, wanted)
