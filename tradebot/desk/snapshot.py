"""Take the desk, the snapshot from which a pass decides: catch up with the venue, then read everything once."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from tradebot.desk import contract_rolls
from tradebot.desk.broker_consistency import VenueReading, confirmed_quantities, read_venue
from tradebot.desk.contract_rolls import with_earlier_rolls
from tradebot.desk.listing_lookup import other_contracts, update_listings
from tradebot.desk.quote_recheck import Quotes, recheck_quotes
from tradebot.desk.registry import registry_of
from tradebot.desk.strategy_exposure import (
    PossibleExposure,
    day_results,
    intent_usd,
    margin_of,
    missing_fill_usd,
    strategy_exposures,
    working_order_usd,
)
from tradebot.model.account import Account, AccountValue, BrokerView
from tradebot.model.bar import ClockReading, Session
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.desk import Desk, ExposureRange, HaltEvidence, RiskBook, SessionEntry, StrategyOrder
from tradebot.model.instrument import Listing
from tradebot.model.intent import ID_CONFLICT, NEVER_SENT, IntentRecord, IntentState, Operation, is_our_order_id
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN
from tradebot.model.reasons import Reason
from tradebot.model.resting_orders import resting_among
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.model.venue import Pairs, Settlement
from tradebot.ports.world import Rules, World
from tradebot.reconciliation.listing_updates import ListingsInForce
from tradebot.reconciliation.new_fills import MissingFill
from tradebot.reconciliation.unknown_orders import UnknownOrders, confirmed_own_quantities, unknown_orders
from tradebot.timetable.sessions import difference, session_of


def take_desk(
    world: World,
    *,
    for_entries: bool,
    clocks: ClockReading | None = None,
    symbols: Sequence[str] | None = None,
    evaluates_exits: bool = False,
) -> Desk:
    """Apply the venue's facts to the books, then return everything a pass decides from; a dry run applies nothing.

    The clocks are read unless the caller has just done so. An entry pass (`for_entries`) reads the universe, or these
    `symbols`. If exit rules will be evaluated (`evaluates_exits`), their inputs are read, and a price that would close
    a position is requested a second time.
    """
    if clocks is None:
        stopwatch_s = world.stopwatch()
        clocks = ClockReading(world.reader.clock(), world.second_clock(), stopwatch_s)
    now, day = clocks.now, world.venue.day
    session = session_of(world.ledger, now, day)
    today = session.date if session else day.date_of(now)
    reading = read_venue(world, clocks, for_exits=not for_entries)
    entry_symbols: Sequence[str] = ()
    if for_entries:
        # Finish buying a partly rolled contract, even if the universe doesn't name it.
        rolling = contract_rolls.partly_rolled_contracts(reading.books, today)
        entry_symbols = tuple(dict.fromkeys((*(world.rules.universe if symbols is None else symbols), *rolling)))
    relevant = (*entry_symbols, *margined_symbols(reading.view, reading.books, reading.missing))
    listings = update_listings(world, reading.books, relevant)
    # From here on, the rules know these listings' contracts.
    world = replace(world, rules=world.rules.with_contracts(listings.listings))
    quotes = _quotes(world, reading, relevant, for_exits=not for_entries)
    desk = _desk(world, reading, clocks, session, quotes, listings)
    if for_entries:
        desk = _with_entry_inputs(world, desk, entry_symbols, today)
    rechecked = recheck_quotes(world, desk, for_entries=for_entries, watching=evaluates_exits)
    # The worst-case book depends on prices, so build it again if one has changed.
    if rechecked.quotes is not quotes:
        rechecked = replace(rechecked, book=_book(world, reading, rechecked.quotes, today, desk.listings))
    return restart_decision_timer(world, rechecked)


def _with_entry_inputs(world: World, desk: Desk, entry_symbols: Sequence[str], today: date) -> Desk:
    """Return the desk with what only entries need: facts, the registry, and whether the calendars differ."""
    facts = world.facts.last_answers(entry_symbols, desk.now) if entry_symbols else {}
    differs = "" if world.venue.hours_win else difference(world.ledger, today)
    desk = replace(desk, facts=facts, calendar_differs=differs, registry=registry_of(world))
    others = other_contracts(world.rules.coin, entry_symbols, desk.book.open_symbols)
    return replace(desk, other_contracts=others) if others else desk


def restart_decision_timer(world: World, desk: Desk) -> Desk:
    """Restart the desk's time limit for decisions from now, if there is one."""
    is_limited = world.rules.limits.max_decision_ms is not None
    return replace(desk, decision_started_s=world.stopwatch()) if is_limited else desk


def margined_symbols(view: BrokerView, books: Books, missing: Iterable[MissingFill] = ()) -> Iterator[str]:
    """Yield the symbols of everything that uses margin, even if it isn't ours; there are none in a cash account."""
    if view.account.settlement is Settlement.MARGINED:
        yield from (position.symbol for position in view.positions)
        yield from (order.symbol for order in view.orders)
        yield from (fill.order.symbol for fill in missing)
        yield from (record.intent.instrument.symbol for record in books.unresolved_intents)


def _quotes(world: World, reading: VenueReading, relevant: Iterable[str], *, for_exits: bool) -> Quotes:
    """Fetch the quotes of these symbols, of our positions and, in passes that reprice them, of passive entries."""
    own_symbols = (position.symbol for position in reading.books.totals.own_positions())
    intents = ((order.symbol, reading.books.intent_behind(order)) for order in reading.orders if for_exits)
    passive = (symbol for symbol, record in intents if record and record.intent.approach)
    symbols = tuple(dict.fromkeys((*relevant, *own_symbols, *passive)))
    return world.market.quotes(symbols) if symbols else {}


def _desk(
    world: World,
    reading: VenueReading,
    clocks: ClockReading,
    session: Session | None,
    quotes: Quotes,
    listed: ListingsInForce,
) -> Desk:
    """Return the desk without the facts that only entries need."""
    view, books, now = reading.view, reading.books, clocks.now
    today = session.date if session else books.day.date_of(now)
    listings = with_earlier_rolls(listed.listings, world.rules.standing, today)
    positions = books.totals.own_positions()
    unknown = unknown_orders(books, view.positions)
    return Desk(
        now=now,
        clock=clocks.clock,
        calendar=world.venue.calendar,
        session=session,
        account=view.account,
        permission=_permission(world.permission, view.account),
        state=books.state,
        reconcile=books.standing.reconciled,
        book=_book(world, reading, quotes, today, listings),
        books=books,
        positions=positions,
        net=confirmed_own_quantities(confirmed_quantities(reading), positions, unknown.forgotten),
        position_ratios=reading.ratios,
        orders=reading.orders,
        omitted_orders=frozenset(order.symbol for order in reading.omitted_orders),
        canceled=books.cancels_accepted & {order.venue_id for order in reading.omitted_orders},
        differences=reading.differences,
        unproven=reading.unproven,
        awaited=frozenset(fill.order.symbol for fill in reading.missing),
        steady=view.steady,
        untraced_fills=reading.untraced_fills,
        clock_ahead_s=clocks.ahead_s,
        resting=resting_among(books, reading.orders),
        quotes=quotes,
        rejected_quotes=world.market.rejected_quotes,
        unreadable=view.unreadable,
        halt_evidence=halt_evidence(books, view, books.intents_of_session(today), unknown),
        taken_s=clocks.stopwatch_s,
        sectors=world.rules.sectors,
        other_sessions=_other_sessions(books),
        listings=listings,
        unlisted=listed.unlisted,
    )


def _other_sessions(books: Books) -> Mapping[str, Session]:
    """Return today's session of each calendar that instruments have in place of the venue's own."""
    sessions = ((name, session_of(books, books.at, books.day, name)) for name in books.other_calendars)
    return {name: session for name, session in sessions if session}


def _book(
    world: World, reading: VenueReading, quotes: Quotes, today: date, listings: Mapping[str, Listing]
) -> RiskBook:
    books = reading.books
    worst = book(reading.view, books, world.rules, reading.missing, quotes, session=today, listings=listings)
    own_orders = _own_orders(books, _trading(books, reading.orders))
    if world.venue.pairs is not Pairs.NATIVE:
        worst = replace(worst, working=worst.working.union(_symbols_with_orphaned_protection(books, reading.orders)))
    return worst if own_orders == worst.own_orders else replace(worst, own_orders=own_orders)


def _symbols_with_orphaned_protection(books: Books, orders: Iterable[Order]) -> Iterator[str]:
    """Yield symbols whose stops or targets outlived the shares they protected and would act on newly bought ones."""
    for holding, rests in resting_among(books, orders).items():
        held_quantity = books.totals.positions[holding].quantity if holding in books.totals.positions else Decimal(0)
        if any(held_quantity * rest.first.side.sign >= 0 for rest in rests):
            yield holding[1]


def _own_orders(books: Books, trading: Iterable[Order]) -> tuple[StrategyOrder, ...]:
    """Return our working orders among these, and orders that someone created by replacing ours."""
    owned = ((order, books.intent_behind(order)) for order in trading)
    return tuple(
        StrategyOrder(
            record.intent.key.strategy if record else "",
            order.symbol,
            order.side,
            Decimal(0) if record and record.intent.rests else order.open_quantity,
        )
        for order, record in owned
        if record or is_our_order_id(order.client_order_id)
    )


def _trading(books: Books, orders: Iterable[Order]) -> Iterator[Order]:
    """Yield the orders that block other orders. Protection doesn't, and it adds no exposure."""
    return (order for order in orders if not books.protects(order))


def _entries_of(recorded: Iterable[IntentRecord]) -> tuple[SessionEntry, ...]:
    entries = (r.intent for r in recorded if _submits(r) and r.intent.purpose is Purpose.OPEN)
    return tuple(SessionEntry(i.key.strategy, i.instrument.symbol, i.side, i.at) for i in entries)


def _submits(record: IntentRecord) -> bool:
    """Return True for a new order that opens, adds to or closes a position, rather than protects it."""
    return record.intent.operation is Operation.SUBMIT and not record.intent.protects


def halt_evidence(
    books: Books, view: BrokerView, recorded: Sequence[IntentRecord], unknown: UnknownOrders
) -> HaltEvidence:
    """Collect signs of refusals, lost replies and other writers from a session's intents and the broker's view."""
    marked = [order for order in view.orders if is_our_order_id(order.client_order_id)]
    unrecorded = [order for order in marked if order.client_order_id not in books.intents_by_id]
    # Protection adds no risk; if it is unknown, these books are older than the orders.
    adding = [order for order in unrecorded if order.client_order_id not in unknown.protecting]
    copies = [order for order in adding if order.venue_id in books.sent_by_another_copy]
    earlier = [*(order for order in unrecorded if order not in copies), *unknown.forgotten]
    copies += unknown.recent_by_other_copies
    conflicts = [record.intent.client_order_id for record in recorded if record.code == ID_CONFLICT]
    return HaltEvidence(
        # The venue may refuse an order at once, or after first accepting it.
        refused=tuple(
            r.updated_at for r in recorded if r.state is IntentState.REJECTED and r.code != NEVER_SENT and _submits(r)
        ),
        unanswered=tuple(r.intent.at for r in recorded if r.intent.makes_order and r.state.is_unresolved),
        unknown_orders=tuple(dict.fromkeys((*(order.client_order_id for order in copies), *conflicts))),
        forgotten=tuple(dict.fromkeys(order.client_order_id for order in earlier)),
        unreadable=view.unreadable,
    )


def _permission(configured: Permission, account: Account) -> Permission:
    if not account.blocked:
        return configured
    return replace(configured, closed=(*configured.closed, (Reason.ACCOUNT_BLOCKED, ", ".join(account.blocked))))


def book(
    view: BrokerView,
    books: Books,
    rules: Rules,
    missing: Sequence[MissingFill] = (),
    quotes: Quotes = MappingProxyType({}),
    *,
    session: date,
    listings: Mapping[str, Listing] = MappingProxyType({}),
) -> RiskBook:
    """Build the worst-case book: each position has the higher of the broker's value and ours, and all open orders are
    filled.

    If our orders have filled shares that no list of fills shows yet, these count as additional positions. Entries are
    counted for the trade date of the `session`. A margin account also needs the `listings` of its positions and
    possible entries.
    """
    view, day = _at_collars(view, books), books.day.trade_date(session)
    priced = _prices(view, books.totals.last_price, quotes)
    trading = tuple(_trading(books, view.orders))
    orders = tuple(_possible(view, trading, books, priced, missing))
    exposure, spans = _exposure(view, priced, orders)
    held_symbols = frozenset(
        (*(p.symbol for p in books.totals.own_positions()), *(fill.order.symbol for fill in missing))
    )
    margin = margin_of(view, priced, orders, quotes, listings)
    return RiskBook(
        equity=view.account.equity,
        buying_power=(margin.available or Decimal(0)) if margin else view.account.buying_power,
        day_loss=max(view.account.last_equity - view.account.equity, Decimal(0)),
        exposure=exposure,
        sector_exposure=_by_sector(exposure, rules.sectors),
        held=held_symbols,
        foreign=_foreign(view, books, held_symbols),
        working=frozenset(order.symbol for order in trading),
        own_orders=_own_orders(books, trading),
        unresolved=frozenset(r.intent.instrument.symbol for r in books.unresolved_intents if not r.intent.protects),
        last_fill_at=books.totals.last_traded,
        own_fill_at={key: p.traded_at for key, p in books.totals.positions.items() if p.traded_at},
        gross=sum(exposure.values(), Decimal(0)),
        contracts=_contracts(view, orders),
        entries=_entries_of(books.intents_of_trade_date(day)),
        peak_equity=(peak.highest or None) if (peak := books.standing.peak) else None,
        worth=account_value(view, quotes),
        stakes=tuple(strategy_exposures(view, books, priced, missing, rules)),
        spans=spans,
        round_trips=books.totals.round_trips,
        day_results=day_results(books, quotes, day),
        themes=rules.themes,
        betas=rules.betas,
        lost_at={key: p.lost_at for key, p in books.totals.positions.items() if p.lost_at and p.strategy != FOREIGN},
        margin=margin,
    )


def _foreign(view: BrokerView, books: Books, held_symbols: Collection[str]) -> frozenset[str]:
    listed = (
        position.symbol for position in view.positions if position.quantity and position.symbol not in held_symbols
    )
    return frozenset((*listed, *books.totals.foreign_quantities(books.acknowledged)))


def _at_collars(view: BrokerView, books: Books) -> BrokerView:
    """Return the view with each passive entry at the worst price to which it may still step."""
    orders = tuple([_at_collar(order, books.intent_behind(order)) for order in view.orders])
    return view if orders == view.orders else replace(view, orders=orders)


def _at_collar(order: Order, record: IntentRecord | None) -> Order:
    if record is None or record.intent.approach is None:
        return order
    return replace(order, limit_price=max(order.limit_price or Decimal(0), record.intent.approach.collar))


def _prices(view: BrokerView, paid: Mapping[str, Decimal], quotes: Quotes) -> Mapping[str, Decimal]:
    """Return each symbol's price per share in USD: this pass's quote, else the venue's price, else the last one paid.

    The venue computes a position's value itself, so a wrong value must not make room under a limit.
    """
    prices = {symbol: quote.middle for symbol, quote in quotes.items()}
    for position in view.positions:
        cost = max(position.average_price, paid.get(position.symbol, Decimal(0)))
        now = position.current_price
        prices.setdefault(position.symbol, now if now and now > 0 else cost)
    return prices


def account_value(view: BrokerView, quotes: Quotes) -> AccountValue:
    """Return the sum of cash and positions, to compare with the equity that the venue reports.

    In a margin account, a position counts with its unrealized profit.
    """
    total, at_cost = view.account.cash, Decimal(0)
    is_margined = view.account.settlement is Settlement.MARGINED
    for position in view.positions:
        quote = quotes.get(position.symbol)
        total += position.value_at(quote.middle) if quote else position.value
        total -= position.value_at(position.average_price) if is_margined else 0
        at_cost += abs(position.value) if position.market_value is None and not quote else 0
    return AccountValue(total, at_cost)


def _exposure(
    view: BrokerView, prices: Mapping[str, Decimal], orders: Iterable[PossibleExposure]
) -> tuple[Mapping[str, Decimal], Mapping[str, ExposureRange]]:
    """Return the worst-case exposure by symbol in USD, and the signed range that it may reach.

    A position counts at the venue's value or at this pass's price, whichever is more.
    """
    exposure, spans = defaultdict[str, Decimal](Decimal), defaultdict[str, ExposureRange](ExposureRange)
    for position in view.positions:
        values, span = (position.value, position.value_at(prices[position.symbol])), spans[position.symbol]
        exposure[position.symbol] += max(map(abs, values))
        spans[position.symbol] = ExposureRange(span.lowest + min(values), span.highest + max(values))
    for order in orders:
        exposure[order.symbol] += order.usd
        spans[order.symbol] = spans[order.symbol].with_order(order.side, order.usd)
    return exposure, spans


def _contracts(view: BrokerView, orders: Iterable[PossibleExposure]) -> Decimal:
    """Return how many units positions have, long and short added up, and orders may still add."""
    quantities = (abs(position.quantity) for position in view.positions)
    return sum((*quantities, *(order.quantity for order in orders)), Decimal(0))


def _by_sector(exposure: Mapping[str, Decimal], sectors: Mapping[str, str]) -> Mapping[str, Decimal]:
    by_sector: dict[str, Decimal] = defaultdict(Decimal)
    for symbol, value in exposure.items():
        by_sector[sectors.get(symbol, "")] += value
    return by_sector


def _possible(
    view: BrokerView,
    trading: Iterable[Order],
    books: Books,
    prices: Mapping[str, Decimal],
    missing: Sequence[MissingFill],
) -> Iterator[PossibleExposure]:
    """Yield the exposure that `trading` orders may still add: none if one closes, the excess if one reverses.

    Only one order of a pair can fill, so its stop adds nothing to its limit order.
    """
    quantity_by_symbol = {position.symbol: position.quantity for position in view.positions}
    for order in (order for order in trading if order.parent is None):
        added = _shares_added(order, quantity_by_symbol)
        usd = working_order_usd(order, added, view, books, prices) if added else added
        yield PossibleExposure(order.symbol, order.side, usd, added, order.limit_price)
    # A replace or a cancel adds nothing, because the order it changes is listed while it works.
    for intent in (record.intent for record in books.unresolved_intents if _submits(record)):
        usd = intent_usd(intent, prices)
        yield PossibleExposure(intent.instrument.symbol, intent.side, usd, intent.quantity, intent.limit_price)
    for missing_fill in missing:
        if missing_fill.signed_quantity * quantity_by_symbol.get(missing_fill.order.symbol, Decimal(0)) >= 0:
            usd = missing_fill_usd(missing_fill, view, books, prices)
            yield PossibleExposure(
                missing_fill.order.symbol, missing_fill.order.side, usd, abs(missing_fill.signed_quantity), None
            )


def _shares_added(order: Order, quantity_by_symbol: dict[str, Decimal]) -> Decimal:
    """Return how many shares an order may add to the position; subtract what it may close from `quantity_by_symbol`."""
    held_shares = quantity_by_symbol.get(order.symbol, Decimal(0))
    if held_shares * order.side.sign >= 0:
        return order.open_quantity
    closing = min(order.open_quantity, abs(held_shares))
    quantity_by_symbol[order.symbol] = held_shares + closing * order.side.sign
    return order.open_quantity - closing
