"""Check that each of our positions is protected. The bot itself runs the exits, so some rule must be able to act."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from tradebot.exits.held import Held, best_price
from tradebot.exits.lists import Exits, in_force, worst_stop
from tradebot.exits.rules import is_blind, judge
from tradebot.model.account import BrokerView
from tradebot.model.bar import VenueClock
from tradebot.model.books import Books
from tradebot.model.decision import Decision, Verdict
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.intent import is_marked
from tradebot.model.limits import ExitRules
from tradebot.model.position import Position
from tradebot.model.record import EXITING, NOT_PLACED, REFUSED, Job
from tradebot.model.resting import resting_among
from tradebot.ports.broker import Market
from tradebot.ports.stores import Ledger
from tradebot.reconciliation.apply_activities import position_ratios
from tradebot.reconciliation.catch_up import may_fill
from tradebot.reconciliation.gaps import gaps
from tradebot.timetable.sessions import session_date, session_of


class Watch(Struct, frozen=True):
    """What protection is judged by: an exit counts as missed if no exit pass started for `life_s` seconds.

    `exits_of` returns the exit rules of a strategy, and `exits` are those of the account.
    """

    market: Market
    exits_of: Callable[[str], Exits]
    life_s: float
    exits: ExitRules


def unprotected(
    clock: VenueClock, view: BrokerView, books: Books, watch: Watch, last_exits: datetime
) -> Iterator[Finding]:
    """Yield our positions that no rule can judge now, or whose exit is due with no exit order on its way.

    `last_exits` is when the last exit pass started.
    """
    ours = sorted(books.totals.own_positions(), key=lambda position: (position.strategy, position.symbol))
    if not ours or not clock.is_open:
        return
    quotes, ratios = watch.market.quotes(tuple(p.symbol for p in ours)), position_ratios(books, view)
    busy, state = _busy_symbols(view, books, clock.now), books.state.state
    missed = last_exits < clock.now - timedelta(seconds=watch.life_s)
    for position in ours:
        ratio, quote = ratios.get(position.symbol, Decimal(1)), quotes.get(position.symbol)
        rules = _rules(books, position, watch)
        decision = judge(_held(books, position), quote, clock.now, rules, state, ratio).decision
        if position.symbol not in busy and ((decision.passed and missed) or is_blind(decision)):
            held_by_broker = next((p.quantity for p in view.positions if p.symbol == position.symbol), Decimal(0))
            yield Finding(
                FindingKind.MISSING_STOP, position.symbol, position.quantity, held_by_broker, (_describe(decision),)
            )


def lapsed(view: BrokerView, books: Books, watch: Watch) -> Iterator[Finding]:
    """Yield our positions whose stop the venue has taken away, or holds back, so that only the bot protects them."""
    for gap in gaps(books, resting_among(books, books.working), watch.exits, watch.exits_of):
        if gap.why not in (EXITING, REFUSED, NOT_PLACED):
            held = next((p.quantity for p in view.positions if p.symbol == gap.symbol), Decimal(0))
            ours = books.totals.positions[gap.strategy, gap.symbol].quantity
            why = f"no stop at the broker can trigger for {gap.shares:f} shares: the last one is {gap.why}"
            yield Finding(FindingKind.MISSING_STOP, gap.symbol, ours, held, (why,))


def _held(books: Books, position: Position) -> Held:
    return Held(position, best_price(position, None, books.kept_of(position).best))


def _rules(books: Books, position: Position, watch: Watch) -> Exits:
    return in_force(watch.exits_of(position.strategy), books.kept_of(position))


def without_stop(books: Books, watch: Watch) -> tuple[Position, ...]:
    """Return our open positions that no rule closes at a fixed loss. That is the owner's choice, so it's no finding."""
    ours = sorted(books.totals.own_positions(), key=lambda position: (position.strategy, position.symbol))
    return tuple(position for position in ours if worst_stop(_rules(books, position, watch)) is None)


def _busy_symbols(view: BrokerView, books: Books, now: datetime) -> set[str]:
    """Return the symbols on which one of our orders is, or may be, working."""
    orders = [order for order in view.orders if is_marked(order.client_order_id)]
    orders += may_fill(books, session_date(books, now))
    unresolved = {record.intent.instrument.symbol for record in books.unresolved if not record.intent.protects}
    return {order.symbol for order in orders if not books.protects(order)} | unresolved


def last_exit_pass(ledger: Ledger, now: datetime) -> datetime:
    """Return when the last exit pass of this session started, or when the session opened if none has yet."""
    session = session_of(ledger, now)
    if session is None:
        return now
    claims = (claim for claim in ledger.slot_claims(session.date) if claim.job == Job.EVALUATE_EXITS)
    return max((claim.at for claim in claims if not claim.missed), default=session.open)


def _describe(decision: Decision) -> str:
    if decision.verdict is Verdict.UNKNOWN:
        return f"{decision.reason}: no rule can judge it by price"
    return f"{decision.reason} is met, but no exit order is working: run tradebot evaluate-exits"
