"""The reconcile story: apply facts, compare, remember the result; and writing down a plan that a person accepted.

It is handed readers and the ledger only. There is no order port in sight.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradebot.books import CaughtUp
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import FOREIGN, OwnedFill, Position, fold_positions
from tradebot.model.trading import ReconcileMark
from tradebot.ports import BrokerReader, Ledger
from tradebot.reconcile import Finding, FindingKind, LedgerView, Plan, compare, fingerprint, plan_of
from tradebot.snapshot import catch_up_now, require_account


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One comparison: what was applied, what differs, and the plan that would settle it."""

    at: datetime
    view: BrokerView
    applied: CaughtUp
    findings: tuple[Finding, ...]
    plan: Plan | None


def reconcile(reader: BrokerReader, ledger: Ledger) -> Reconciled:
    """Apply the venue's facts, then compare books and broker and mark the result in the ledger."""
    now, view = reader.clock().now, reader.view()
    require_account(ledger, view.account)
    applied = catch_up_now(reader, ledger, view, now)
    # What filled between reading the view and applying facts would look like a difference: read once more.
    view = reader.view() if applied.fills or applied.orders else view
    findings = compare(ledger_view(ledger), view)
    ledger.mark_reconciled(ReconcileMark(now, sum(finding.blocking for finding in findings), len(findings)))
    return Reconciled(now, view, applied, findings, plan_of(findings, view))


def ledger_view(ledger: Ledger) -> LedgerView:
    """Return what the ledger holds, for comparing."""
    return LedgerView(
        opening_cash=ledger.opening_cash(),
        cash_adjustments=ledger.cash_adjustments(),
        fills=ledger.fills(),
        acknowledged=ledger.acknowledged(),
        unresolved=ledger.intents(unresolved=True),
        # The orders table holds whatever the venue has told, others' orders too; ours are those that were promised.
        known_orders=frozenset(record.intent.client_order_id for record in ledger.intents()),
    )


def apply_plan(reader: BrokerReader, ledger: Ledger, plan: Plan, who: str) -> Reconciled:
    """Write an accepted plan into the books, if the broker has not moved since, and compare again."""
    current = reconcile(reader, ledger)
    if fingerprint(current.view) != plan.fingerprint or current.plan is None or current.plan.id != plan.id:
        raise OperatorError(
            f"{plan.id} was made of an older view: the broker or the books have moved since",
            "tradebot reconcile, read the findings again, then apply the new plan",
            code=ExitCode.REFUSED,
        )
    for finding in plan.findings:
        _write(ledger, finding, f"{plan.id} accepted by {who}", current.at)
    # Adjusted quantities have a price, and the cash that they moved is put back: no plan invents or loses money.
    difference = current.view.account.cash - ledger_view(ledger).cash
    if difference:
        ledger.adjust_cash(difference, f"{plan.id} accepted by {who}", current.at)
    return reconcile(reader, ledger)


def _write(ledger: Ledger, finding: Finding, why: str, at: datetime) -> None:
    """Take over the broker's quantity; a foreign position is only noted as known, never made ours."""
    if finding.kind is FindingKind.CASH or finding.broker is None or finding.ours is None:
        return
    # An adjustment is a fill that no venue reported: its id says which plan wrote it.
    name = f"adjustment:{why.partition(' ')[0]}:{finding.subject}"
    if finding.kind is FindingKind.OFFSET:
        _hand_over(ledger, finding.subject, name, why, at)
        return
    held = ledger.acknowledged().get(finding.subject, Decimal(0))
    if finding.kind is FindingKind.FOREIGN_POSITION or held:
        ledger.acknowledge(finding.subject, held + finding.broker - finding.ours, why, at)
        return
    owner, parts = _adjustments(ledger.fills(), finding.subject, finding.broker - finding.ours)
    ledger.apply_fills(
        [_adjustment(owner, f"{name}:{n}", finding.subject, part, at) for n, part in enumerate(parts)], at
    )


def _adjustment(owner: str, name: str, symbol: str, part: tuple[Decimal, Decimal], at: datetime) -> OwnedFill:
    change, price = part
    side = Side.BUY if change > 0 else Side.SELL
    return OwnedFill(owner, Fill(name, "", symbol, side, abs(change), price, at))


def _hand_over(ledger: Ledger, symbol: str, name: str, why: str, at: datetime) -> None:
    """Give our position what others hold against it: their trades at their prices, older shares at our cost."""
    fills, known = ledger.fills(), ledger.acknowledged().get(symbol, Decimal(0))
    book = fold_positions(fills)
    owner, held = next((who, p) for (who, what), p in book.items() if what == symbol and who != FOREIGN and p.quantity)
    foreign = book.get((FOREIGN, symbol)) or Position(FOREIGN, symbol, (), Decimal(0))
    amount = min(abs(foreign.quantity + known), abs(held.quantity))
    traded = min(amount, abs(foreign.quantity)) if foreign.quantity * held.quantity < 0 else Decimal(0)
    older = (amount - traded).copy_sign(held.quantity)
    handed = list(_handed_over(owner, foreign, traded.copy_sign(held.quantity), name, at))
    rest = [_adjustment(owner, f"{name}:old:{n}", symbol, part, at) for n, part in enumerate(_at_cost(held, -older))]
    ledger.apply_fills(handed + rest, at)
    if older:
        ledger.acknowledge(symbol, known + older, why, at)


def _handed_over(owner: str, foreign: Position, amount: Decimal, name: str, at: datetime) -> Iterator[OwnedFill]:
    """Yield the pairs that give foreign trades to the position that they closed."""
    for n, (part, price) in enumerate(_at_cost(foreign, amount)):
        yield _adjustment(FOREIGN, f"{name}:from:{n}", foreign.symbol, (part, price), at)
        yield _adjustment(owner, f"{name}:to:{n}", foreign.symbol, (-part, price), at)


def _adjustments(fills: Sequence[OwnedFill], symbol: str, change: Decimal) -> tuple[str, list[tuple[Decimal, Decimal]]]:
    """Return whose position changes, and the signed quantities and prices that change it."""
    for (strategy, held), position in fold_positions(fills).items():
        if held == symbol and position.quantity:
            return strategy, list(_at_cost(position, change))
    last = [owned.fill.price for owned in fills if owned.fill.symbol == symbol]
    return FOREIGN, [(change, last[-1])]


def _at_cost(position: Position, change: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Close opposite lots at what each cost, so that an adjustment makes no profit; open the rest at the average."""
    for lot in position.lots:
        if not change or (lot.quantity > 0) == (change > 0):
            break
        part = min(abs(change), abs(lot.quantity)).copy_sign(change)
        yield part, lot.price
        change -= part
    if change:
        yield change, position.average_price
