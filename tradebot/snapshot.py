"""From the ports to a desk: everything is read once, then nobody asks the world again until an order is sent."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from tradebot.booking import explained
from tradebot.books import CaughtUp, catch_up, owners
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import Account, BrokerPosition, BrokerView
from tradebot.model.activity import MARK
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose
from tradebot.model.desk import Book, Desk, Entered, FlowDesk, Signs
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import ID_CONFLICT, ID_PREFIX, NEVER_SENT, IntentRecord, IntentState, Operation
from tradebot.model.order import Order, OrderStatus
from tradebot.model.position import FOREIGN, OwnedFill, Position, fold_positions
from tradebot.model.reasons import Reason
from tradebot.model.trading import Permission
from tradebot.ports import BrokerReader, Ledger
from tradebot.strangers import strangers
from tradebot.world import World

CALENDAR_REACH = timedelta(days=7)
EQUITY = ("account", "equity")
"""Under these two words the ledger keeps the highest equity, beside the best prices of positions."""
OPTION_MULTIPLIER = 100
"""Shares to a standard US option contract, for a foreign position that came without a market value."""


def session_of(ledger: Ledger, now: datetime) -> Session | None:
    """Return the stored session that is open at `now`, or the day's own, or None on a day without one."""
    near = ledger.sessions(now.date() - timedelta(days=1), now.date())
    return next((session for session in near if session.contains(now)), None) or next(
        (session for session in near if session.date == now.date()), None
    )


def last_session(ledger: Ledger, now: datetime) -> date:
    """Return the date of the session that is open or was last; flow is asked for that day."""
    begun = [s.date for s in ledger.sessions(now.date() - CALENDAR_REACH, now.date()) if s.open <= now]
    return max(begun, default=now.date())


def flow_desk(world: World, now: datetime) -> FlowDesk:
    """Return what is known of flow at `now`, for a score without an account."""
    session, universe = last_session(world.ledger, now), world.rules.universe
    return FlowDesk(now, universe, world.facts.load(universe, session, now), world.facts.tide(session, now))


def take(world: World, *, with_flow: bool) -> Desk:
    """Return the desk after applying the venue's facts (a dry run applies none and sees the books as they stand)."""
    taken_s = world.stopwatch()
    clock, view = world.reader.clock(), world.reader.view()
    require_account(world.ledger, view.account)
    session = session_of(world.ledger, clock.now)
    today = session.date if session else clock.now.date()
    if not world.dry_run:
        caught = catch_up(world.reader, world.ledger, view.orders, today, clock.now)
        view = replace(view, unreadable=view.unreadable + caught.unreadable)
    astray = explained(world.reader, world.ledger, view, clock.now, writes=not world.dry_run)
    fills = world.ledger.fills()
    positions = tuple(p for p in fold_positions(fills).values() if p.quantity and p.strategy != FOREIGN)
    symbols = dict.fromkeys((*(world.rules.universe if with_flow else ()), *(p.symbol for p in positions)))
    flow = flow_desk(world, clock.now) if with_flow else None
    unresolved = world.ledger.intents(unresolved=True)
    submits = session_submits(world.ledger, today)
    seen = book(view, positions, fills, unresolved, world.rules.sectors)
    return Desk(
        now=clock.now,
        clock=clock,
        session=session,
        account=view.account,
        permission=_permission(world.permission, view.account),
        state=world.ledger.trading_state(),
        reconcile=world.ledger.last_reconcile(),
        book=replace(
            seen,
            own_working=seen.own_working | _taken_over(world.ledger, view) | _unseen(world.ledger, view),
            entries=entries_of(submits),
            peak_equity=peak_equity(world.ledger),
        ),
        positions=positions,
        net={position.symbol: position.quantity for position in view.positions},
        astray=astray,
        orders=view.orders,
        quotes=world.market.quotes(tuple(symbols)) if symbols else {},
        rejected_quotes=world.market.rejected_quotes,
        unreadable=view.unreadable,
        signs=signs_of(world.ledger, view, world.ledger.intents(session=today)),
        taken_s=taken_s,
        universe=world.rules.universe,
        sectors=world.rules.sectors,
        facts=flow.facts if flow else {},
        **({"tide": flow.tide} if flow else {}),
    )


def _taken_over(ledger: Ledger, view: BrokerView) -> frozenset[str]:
    """Return the symbols on which an order works that took the place of one of ours, whoever replaced it."""
    ours = owners(ledger) if any(order.replaced_by for order in ledger.orders()) else {}
    return frozenset(order.symbol for order in view.orders if order.venue_id in ours)


def _unseen(ledger: Ledger, view: BrokerView) -> frozenset[str]:
    """Return the symbols of our working orders, where rows of the broker cannot be read: one may be of them."""
    ours = owners(ledger) if view.unreadable else {}
    return frozenset(order.symbol for order in ledger.orders(working=True) if order.venue_id in ours)


def session_submits(ledger: Ledger, session: date) -> tuple[IntentRecord, ...]:
    """Return the orders promised in a session, without cancels, in the order promised."""
    return tuple(r for r in ledger.intents(session=session) if r.intent.operation is Operation.SUBMIT)


def entries_of(submits: Iterable[IntentRecord]) -> tuple[Entered, ...]:
    """Return the entries among promised orders, whatever became of them."""
    intents = (record.intent for record in submits if record.intent.purpose is Purpose.OPEN)
    return tuple(Entered(i.key.strategy, i.instrument.symbol, i.side, i.at) for i in intents)


def peak_equity(ledger: Ledger) -> Decimal | None:
    """Return the highest equity that was ever seen, USD; None before the first look."""
    opened = ledger.books_opened_at()
    return ledger.high_water(*EQUITY, opened) if opened else None


def signs_of(ledger: Ledger, view: BrokerView, promised: Sequence[IntentRecord]) -> Signs:
    """Return what a session's promises and the broker's view tell of refusals, silence and other writers."""
    ours = (order.client_order_id for order in view.orders if order.client_order_id.startswith(ID_PREFIX))
    never_promised = [name for name in ours if ledger.intent(name) is None]
    filled = strangers(ledger, view.at.date())
    conflicts = [record.intent.client_order_id for record in promised if record.code == ID_CONFLICT]
    submits = [record for record in promised if record.intent.operation is Operation.SUBMIT]
    silent = (IntentState.SENT, IntentState.UNKNOWN)
    return Signs(
        refused=tuple(_refusals(ledger, submits)),
        unanswered=tuple(r.intent.at for r in promised if r.intent.makes_order and r.state in silent),
        strangers=tuple(dict.fromkeys((*never_promised, *(o.client_order_id for o in filled), *conflicts))),
        unreadable=view.unreadable,
    )


def _refusals(ledger: Ledger, submits: Iterable[IntentRecord]) -> Iterator[datetime]:
    """Yield when the venue refused an order: at once, or after it had accepted it."""
    late = {o.client_order_id: o.updated_at for o in ledger.orders() if o.status is OrderStatus.REJECTED}
    for record in submits:
        if record.state is IntentState.REJECTED:
            if record.code != NEVER_SENT:
                yield record.updated_at
        elif record.intent.client_order_id in late:
            yield late[record.intent.client_order_id] or record.updated_at


def require_account(ledger: Ledger, account: Account) -> None:
    """Raise where the broker answers with another account than the one whose books these are."""
    if account.number != ledger.account_number:
        raise OperatorError(
            f"the broker answers for account …{account.tail}, these books belong to …{ledger.account_number[-4:]}: "
            "it was begun anew, or the keys are another's",
            "use the keys of that account, or begin new books: tradebot init --state-dir NEW; these stay readable",
            code=ExitCode.REFUSED,
        )


def _permission(configured: Permission, account: Account) -> Permission:
    if not account.blocked:
        return configured
    return replace(configured, closed=(*configured.closed, (Reason.ACCOUNT_BLOCKED, ", ".join(account.blocked))))


def book(
    view: BrokerView,
    positions: Iterable[Position],
    fills: Iterable[OwnedFill],
    unresolved: Sequence[IntentRecord],
    sectors: Mapping[str, str],
) -> Book:
    """Return the book at its worst: positions at the broker's value, working and unresolved orders as if filled."""
    exposure = _exposure(view, unresolved)
    by_sector: dict[str, Decimal] = defaultdict(Decimal)
    for symbol, value in exposure.items():
        by_sector[sectors.get(symbol, "")] += value
    held = frozenset(position.symbol for position in positions)
    return Book(
        equity=view.account.equity,
        buying_power=view.account.buying_power,
        day_loss=max(view.account.last_equity - view.account.equity, Decimal(0)),
        exposure=exposure,
        sector_exposure=by_sector,
        held=held,
        foreign=frozenset(p.symbol for p in view.positions if p.quantity and p.symbol not in held),
        working=frozenset(order.symbol for order in view.orders),
        own_working=frozenset(o.symbol for o in view.orders if o.client_order_id.startswith(ID_PREFIX)),
        unresolved=frozenset(record.intent.instrument.symbol for record in unresolved),
        last_fill_at={o.fill.symbol: o.fill.at for o in fills if not o.fill.activity_id.startswith(MARK)},
        gross=sum(exposure.values(), Decimal(0)),
    )


def _exposure(view: BrokerView, unresolved: Sequence[IntentRecord]) -> Mapping[str, Decimal]:
    """Absolute USD by symbol at the worst of what may fill: closing a position adds nothing to it, turning it does."""
    exposure: dict[str, Decimal] = defaultdict(Decimal)
    marks: dict[str, Decimal] = {}
    held: dict[str, Decimal] = {}
    for position in view.positions:
        exposure[position.symbol] += _value(position)
        marks[position.symbol] = position.average_price
        held[position.symbol] = position.quantity
    for order in view.orders:
        exposure[order.symbol] += _adds(order, held) * _order_price(order, marks)
    # A replace or a cancel adds nothing to the order that it names, which is listed while it works.
    for record in (record for record in unresolved if record.intent.operation is Operation.SUBMIT):
        price = record.intent.limit_price or marks.get(record.intent.instrument.symbol, Decimal(0))
        exposure[record.intent.instrument.symbol] += record.intent.quantity * price
    return exposure


def _adds(order: Order, held: dict[str, Decimal]) -> Decimal:
    """Return how many shares an order may add to what is held, taking from `held` what it may close."""
    there = held.get(order.symbol, Decimal(0))
    if there * order.side.sign >= 0:
        return order.open_quantity
    closing = min(order.open_quantity, abs(there))
    held[order.symbol] = there + closing * order.side.sign
    return order.open_quantity - closing


def _value(position: BrokerPosition) -> Decimal:
    if position.market_value is not None:
        return abs(position.market_value)
    multiplier = OPTION_MULTIPLIER if position.asset_class is AssetClass.US_OPTION else 1
    return abs(position.quantity * position.average_price * multiplier)


def _order_price(order: Order, marks: Mapping[str, Decimal]) -> Decimal:
    return order.limit_price or order.filled_average_price or marks.get(order.symbol, Decimal(0))


def catch_up_now(reader: BrokerReader, ledger: Ledger, view: BrokerView, now: datetime) -> CaughtUp:
    """Apply the venue's facts for a reconcile, which holds no order port."""
    session = session_of(ledger, now)
    return catch_up(reader, ledger, view.orders, session.date if session else now.date(), now)
