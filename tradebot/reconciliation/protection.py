"""Whether each position of ours is protected: its exits are run by the bot, so somebody must be able to judge it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.exits.rules import Held, best_price, evaluate
from tradebot.limits import ExitRules
from tradebot.model.account import BrokerView
from tradebot.model.bar import VenueClock
from tradebot.model.decision import Decision, Verdict
from tradebot.model.intent import is_marked
from tradebot.model.position import Position, own_positions
from tradebot.model.record import Job
from tradebot.ports.broker import Market
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.apply_activities import astray
from tradebot.reconciliation.catch_up import may_fill
from tradebot.reconciliation.findings import Finding, FindingKind
from tradebot.timetable.sessions import session_date, session_of


@dataclass(frozen=True, slots=True)
class Watch:
    """What protection is judged by: what a rule asks for is missed once no pass of exits began for `life_s`."""

    market: Market
    rules: ExitRules
    life_s: float


def unprotected(clock: VenueClock, view: BrokerView, ledger: Ledger, watch: Watch) -> Iterator[Finding]:
    """Yield the positions of ours that no rule can judge now, or that are past a rule with no exit under way."""
    fills = ledger.fills()
    ours = sorted(own_positions(fills), key=lambda position: (position.strategy, position.symbol))
    if not ours or not clock.is_open:
        return
    quotes, ratios = watch.market.quotes(tuple(p.symbol for p in ours)), astray(fills, ledger.acknowledged(), view)
    busy, state = _under_way(view, ledger), ledger.trading_state().state
    missed = _looked_after(ledger, clock.now) < clock.now - timedelta(seconds=watch.life_s)
    for position in ours:
        ratio, quote = ratios.get(position.symbol, Decimal(1)), quotes.get(position.symbol)
        said = evaluate(_held(ledger, position), quote, clock.now, watch.rules, state, ratio)
        if position.symbol not in busy and ((said.passed and missed) or said.verdict is Verdict.UNKNOWN):
            there = next((p.quantity for p in view.positions if p.symbol == position.symbol), Decimal(0))
            yield Finding(FindingKind.MISSING_STOP, position.symbol, position.quantity, there, (_words(said),))


def _held(ledger: Ledger, position: Position) -> Held:
    stored = ledger.high_water(position.strategy, position.symbol, position.opened_at)
    return Held(position, best_price(position, None, stored))


def _under_way(view: BrokerView, ledger: Ledger) -> set[str]:
    """Return the symbols on which an order of ours works or may work."""
    listed = {order.symbol for order in view.orders if is_marked(order.client_order_id)}
    omitted = {order.symbol for order in may_fill(ledger, session_date(ledger, view.at))}
    return listed | omitted | {record.intent.instrument.symbol for record in ledger.intents(unresolved=True)}


def _looked_after(ledger: Ledger, now: datetime) -> datetime:
    """Return when a pass of exits was begun last in this session; its open where none was, before which none could."""
    session = session_of(ledger, now)
    if session is None:
        return now
    claims = (claim.at for claim in ledger.slot_claims(session.date) if claim.job == Job.EVALUATE_EXITS)
    return max(claims, default=session.open)


def _words(said: Decision) -> str:
    if said.verdict is Verdict.UNKNOWN:
        return f"{said.reason}: no rule can judge it by price"
    return f"{said.reason} is met, and no exit works: tradebot evaluate-exits"
