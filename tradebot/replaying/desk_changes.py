"""Change a pass's desk: its prices, its positions, or the orders that earlier passes sent.

The book's figures are updated: exposure, equity, buying power, entries. The positions' margin stays as the venue
reported it.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct

from tradebot.model.bar import Quote
from tradebot.model.books import terms_set_by_entry
from tradebot.model.candidate import Purpose, Side
from tradebot.model.desk import Desk, ExposureRange, RiskBook, SessionEntry, StrategyExposure
from tradebot.model.intent import Intent
from tradebot.model.order import Fill
from tradebot.model.position import OwnedFill, Position, RoundTrip
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement
from tradebot.ports.world import Rules
from tradebot.replaying.passes import CycleInputs

ZERO = Decimal(0)
Name = TypeVar("Name")


class Filled(Struct, frozen=True):
    """An order as if all of it had filled at once, at `price` in its instrument's currency."""

    intent: Intent
    price: Decimal

    @property
    def symbol(self) -> str:
        return self.intent.instrument.symbol

    @property
    def signed_quantity(self) -> Decimal:
        """Return the order's signed shares, negative for a sale."""
        return self.intent.quantity * self.intent.side.sign

    @property
    def fill(self) -> OwnedFill:
        """Return the fill to add to the books."""
        intent = self.intent
        name, symbol, multiplier = intent.client_order_id, intent.instrument.symbol, intent.instrument.multiplier
        of = Fill(f"supposed {name}", name, symbol, intent.side, intent.quantity, self.price, intent.at, multiplier)
        return OwnedFill(intent.key.strategy, of)


class Unsent(Struct, frozen=True):
    """An order that an earlier pass sent, but wouldn't have sent with the change.

    `next_at` is when its strategy sent the next order in the symbol, if any; fills after that time don't come from this
    order. The other times are those of the last fills and the last loss before this order.
    """

    order: Filled
    next_at: datetime | None = None
    filled_at: datetime | None = None
    own_filled_at: datetime | None = None
    lost_at: datetime | None = None

    def had(self, at: datetime | None) -> bool:
        """Return True if a fill or a loss at this time follows from this order, and not from the next one."""
        return at is not None and self.order.intent.at <= at and (self.next_at is None or at < self.next_at)


def with_price(desk: Desk, symbol: str, price: Decimal) -> Desk:
    """Return the desk with another price for a symbol; the quote keeps its relative spread and its age."""
    before = desk.quotes.get(symbol)
    if before is None:
        now = Quote(symbol, desk.now, price, price, price, None, "")
    else:
        by = price / before.middle
        now = replace(before, bid=before.bid * by, ask=before.ask * by, last=before.last * by)
    rejected = {name: why for name, why in desk.rejected_quotes.items() if name != symbol}
    priced = replace(desk, quotes={**desk.quotes, symbol: now}, rejected_quotes=rejected)
    held_quantity, listing = desk.net.get(symbol, ZERO), desk.listings.get(symbol)
    if not held_quantity or before is None or listing is None:
        return priced
    was, becomes = (listing.instrument.notional(held_quantity, quote.middle) for quote in (before, now))
    return _worth_more(replace(priced, book=_revalue(priced, symbol, was, becomes)), symbol, becomes - was)


def without_position(desk: Desk, symbol: str) -> Desk:
    """Return the desk without the account's position in a symbol; its value becomes cash."""
    for position in desk.positions:
        if position.symbol == symbol:
            desk = _less(desk, position.holding, abs(position.quantity))
    if foreign := desk.net.get(symbol, ZERO):
        desk = _with_net(desk, symbol, -foreign)
    return replace(desk, book=replace(desk.book, foreign=desk.book.foreign - {symbol}))


def at_time(inputs: CycleInputs, at: datetime) -> CycleInputs:
    """Return a pass's inputs as if it had run at another time of its session, with data of the same age.

    Earlier events, such as fills, keep their times.
    """
    desk = inputs.desk
    by, proposed = at - desk.now, inputs.proposed
    is_open = desk.session is not None and desk.session.contains(at)
    moved = replace(
        desk,
        now=at,
        clock=replace(desk.clock, now=at, is_open=is_open),
        quotes={symbol: replace(quote, at=quote.at + by) for symbol, quote in desk.quotes.items()},
        facts={
            symbol: replace(facts, alerts_fetched_at=facts.alerts_fetched_at and facts.alerts_fetched_at + by)
            for symbol, facts in desk.facts.items()
        },
        reconcile=desk.reconcile and replace(desk.reconcile, at=desk.reconcile.at + by),
    )
    if proposed is not None:
        later = tuple([replace(candidate, at=candidate.at + by) for candidate in proposed.candidates])
        proposed = replace(proposed, candidates=later)
    return replace(inputs, desk=moved, proposed=proposed)


def with_filled(desk: Desk, filled: Filled) -> Desk:
    """Return the desk as if an order of an earlier pass had filled, valued at the desk's prices."""
    intent, symbol = filled.intent, filled.symbol
    against = _held_against(desk, intent)
    if against or intent.purpose is not Purpose.OPEN:
        desk = _less(desk, intent.holding, intent.quantity)
        if intent.purpose is not Purpose.OPEN or against >= intent.quantity:
            return desk
        intent = replace(intent, quantity=intent.quantity - against)
        filled = replace(filled, intent=intent)
    totals = desk.books.totals.after((filled.fill,))
    position = totals.positions[intent.holding]
    others = (lot for lot in desk.positions if lot.holding != position.holding)
    positioned = replace(
        desk,
        positions=(*others, position),
        net={**desk.net, symbol: desk.net.get(symbol, ZERO) + filled.signed_quantity},
        books=replace(desk.books, totals=totals, kept={**desk.books.kept, position.key: terms_set_by_entry(intent)}),
        book=_with_bought(desk, filled),
    )
    price = _price(desk, symbol, filled.price)
    gain = intent.instrument.notional(filled.signed_quantity, price) - intent.instrument.notional(
        filled.signed_quantity, filled.price
    )
    return _worth_more(positioned, symbol, gain)


def with_round_trip(desk: Desk, entry: Filled, close: Filled) -> Desk:
    """Return the desk as if a position had been opened and closed: with its profit, and the times of both."""
    (strategy, symbol), at = entry.intent.holding, close.intent.at
    shares, value = close.intent.quantity * entry.intent.side.sign, entry.intent.instrument.notional
    profit, cost = value(shares, close.price) - value(shares, entry.price), abs(value(shares, entry.price))
    book = _with_times(_count_entry(desk, entry.intent), strategy, symbol, at)
    trip = RoundTrip(strategy, symbol, at, profit, cost, entry.intent.at)
    lost = {**book.lost_at, (strategy, symbol): at} if profit < 0 else book.lost_at
    richer = book.buying_power + profit
    book = replace(book, round_trips=(*book.round_trips, trip), lost_at=lost, buying_power=richer)
    return _worth_more(replace(desk, book=book), symbol, profit)


def without_order(desk: Desk, unsent: Unsent) -> Desk:
    """Return the desk as if an order of an earlier pass hadn't been sent.

    Its shares are removed, and so is the profit of closing them. No other order is changed. For an order that isn't an
    entry, return the desk unchanged.
    """
    filled = unsent.order
    if filled.intent.purpose is not Purpose.OPEN:
        return desk
    intent, symbol = filled.intent, filled.intent.instrument.symbol
    strategy = intent.key.strategy
    entries = [
        entry
        for entry in desk.book.entries
        if (entry.strategy, entry.symbol, entry.at) != (strategy, symbol, intent.at)
    ]
    desk = replace(desk, book=replace(_without_times(desk.book, unsent), entries=tuple(entries)))
    for trip in desk.book.round_trips:
        if (trip.strategy, trip.symbol) == intent.holding and unsent.had(trip.opened_at):
            desk = _without_trip(desk, trip)
    working = [
        order
        for order in desk.book.own_orders
        if (order.strategy, order.symbol, order.side) == (*intent.holding, intent.side) and unsent.next_at is None
    ]
    for own_order in working:
        desk = _without_working(desk, symbol, intent.instrument.notional(own_order.shares, filled.price), intent.side)
    if working:
        remaining = tuple(order for order in desk.book.own_orders if order not in working)
        stakes = tuple(
            stake for stake in desk.book.stakes if stake.held or (stake.strategy, stake.symbol) != intent.holding
        )
        names = desk.book.working - ({symbol} - {order.symbol for order in remaining})
        desk = replace(desk, book=replace(desk.book, own_orders=remaining, stakes=stakes, working=names))
    position = next((position for position in desk.positions if position.holding == intent.holding), None)
    lots = [lot for lot in position.lots if unsent.had(lot.at)] if position else []
    bought = min(sum((abs(lot.quantity) for lot in lots), ZERO), intent.quantity)
    if not bought:
        return desk
    price, part = _price(desk, symbol, filled.price), bought / sum((abs(lot.quantity) for lot in lots), ZERO)
    gains = (intent.instrument.notional(lot.quantity, price - lot.price) for lot in lots)
    gain = sum(gains, ZERO) * part
    fewer = _less(_worth_more(desk, symbol, -gain), intent.holding, bought)
    if fewer.account.settlement is Settlement.MARGINED:
        return fewer
    return replace(fewer, book=replace(fewer.book, buying_power=fewer.book.buying_power - gain))


def _with_bought(desk: Desk, filled: Filled) -> RiskBook:
    intent, symbol, before = filled.intent, filled.intent.instrument.symbol, desk.book
    strategy, price = intent.key.strategy, _price(desk, symbol, filled.price)
    usd = abs(intent.instrument.notional(filled.signed_quantity, price))
    entered = SessionEntry(strategy, symbol, intent.side, intent.at)
    counted = _with_times(_count_entry(desk, intent), strategy, symbol, intent.at)
    after = counted.with_entry(entered, usd, desk.sectors.get(symbol, ""), intent.quantity, price)
    paid, value = intent.instrument.notional(filled.signed_quantity, filled.price), usd * intent.side.sign
    margined, span = desk.account.settlement is Settlement.MARGINED, before.spans.get(symbol, ExposureRange())
    return replace(
        after,
        buying_power=after.buying_power if margined else before.buying_power - abs(paid),
        spans={**before.spans, symbol: ExposureRange(span.lowest + value, span.highest + value)},
        new_entries=before.new_entries,
        working=before.working,
        held=before.held | {symbol},
        stakes=(*before.stakes, StrategyExposure(strategy, symbol, intent.side, usd, True)),
    )


def _held_against(desk: Desk, intent: Intent) -> Decimal:
    """Return how many shares an order could close, unsigned."""
    held_quantity = next((position.quantity for position in desk.positions if position.holding == intent.holding), ZERO)
    return abs(held_quantity) if held_quantity * intent.side.sign < 0 else ZERO


def _count_entry(desk: Desk, entry: Intent) -> RiskBook:
    """Return the book with an entry counted toward the session's entries, if its session is the desk's."""
    today = desk.session is not None and desk.session.date == entry.key.session
    entered = SessionEntry(entry.key.strategy, entry.instrument.symbol, entry.side, entry.at)
    return desk.book.with_order(entered) if today else desk.book


def _with_times(book: RiskBook, strategy: str, symbol: str, at: datetime) -> RiskBook:
    """Return the book with the time of a fill, unless later ones are known."""
    last, own = book.last_fill_at.get(symbol, at), book.own_fill_at.get((strategy, symbol), at)
    return replace(
        book,
        last_fill_at={**book.last_fill_at, symbol: max(last, at)},
        own_fill_at={**book.own_fill_at, (strategy, symbol): max(own, at)},
    )


def _without_times(book: RiskBook, unsent: Unsent) -> RiskBook:
    """Return the book with the times of fills and losses from before an order, in place of the order's own."""
    symbol, holding = unsent.order.symbol, unsent.order.intent.holding
    others = (at for (strategy, name), at in book.own_fill_at.items() if name == symbol and strategy != holding[0])
    filled = max((at for at in (unsent.filled_at, *others) if at), default=None)
    return replace(
        book,
        last_fill_at=_restore_time(book.last_fill_at, symbol, filled, unsent),
        own_fill_at=_restore_time(book.own_fill_at, holding, unsent.own_filled_at, unsent),
        lost_at=_restore_time(book.lost_at, holding, unsent.lost_at, unsent),
    )


def _restore_time(
    times: Mapping[Name, datetime], name: Name, before: datetime | None, unsent: Unsent
) -> Mapping[Name, datetime]:
    if not unsent.had(times.get(name)):
        return times
    others = {other: at for other, at in times.items() if other != name}
    return others if before is None else {**others, name: before}


def _without_trip(desk: Desk, trip: RoundTrip) -> Desk:
    book, profit = desk.book, trip.profit
    trips = tuple(round_trip for round_trip in book.round_trips if round_trip is not trip)
    book = replace(book, round_trips=trips, buying_power=book.buying_power - profit)
    return _worth_more(replace(desk, book=book), trip.symbol, -profit)


def _less(desk: Desk, holding: tuple[str, str], shares: Decimal) -> Desk:
    """Return the desk with `shares` fewer in a position, unsigned, sold at the desk's price."""
    strategy, symbol = holding
    position = next((position for position in desk.positions if position.holding == holding), None)
    if position is None:
        return desk
    shares = min(shares, abs(position.quantity))
    signed = shares if position.quantity > 0 else -shares
    remaining = _reduce_position(position, shares)
    others = [remaining if lot is position else lot for lot in desk.positions]
    side, keeps = Side.of(position.quantity), 1 - shares / abs(position.quantity)
    stakes = (
        replace(stake, usd=stake.usd * keeps, risk_usd=stake.risk_usd and stake.risk_usd * keeps)
        if stake.held and (stake.strategy, stake.symbol, stake.side) == (strategy, symbol, side)
        else stake
        for stake in desk.book.stakes
    )
    positions = tuple(other for other in others if other.lots)
    held_symbols = desk.book.held if any(lot.symbol == symbol for lot in positions) else desk.book.held - {symbol}
    book = replace(desk.book, stakes=tuple(stake for stake in stakes if stake.usd), held=held_symbols)
    totals = replace(desk.books.totals, positions={**desk.books.totals.positions, holding: remaining})
    fewer = replace(desk, positions=positions, book=book, books=replace(desk.books, totals=totals))
    return _with_net(fewer, symbol, -signed)


def _reduce_position(position: Position, shares: Decimal) -> Position:
    lots = list(position.lots)
    while shares and lots:
        lot = lots.pop()
        taken = min(shares, abs(lot.quantity))
        shares -= taken
        if rest := abs(lot.quantity) - taken:
            lots.append(replace(lot, quantity=rest if lot.quantity > 0 else -rest))
    return replace(position, lots=tuple(lots))


def _with_net(desk: Desk, symbol: str, change: Decimal) -> Desk:
    """Return the desk with a symbol's net position changed, and the book's figures adjusted."""
    was = desk.net.get(symbol, ZERO)
    listing, price = desk.listings.get(symbol), _price(desk, symbol, ZERO)
    net = {**desk.net, symbol: was + change}
    if listing is None:
        return replace(desk, net=net)
    value = listing.instrument.notional
    book = _revalue(desk, symbol, value(was, price), value(was + change, price))
    if desk.account.settlement is not Settlement.MARGINED:
        book = replace(book, buying_power=book.buying_power - value(change, price))
    return replace(desk, net=net, book=book)


def _revalue(desk: Desk, symbol: str, was: Decimal, becomes: Decimal) -> RiskBook:
    """Return the book with a symbol's position revalued from `was` to `becomes`, in signed USD."""
    book = desk.book
    more, span = abs(becomes) - abs(was), book.spans.get(symbol, ExposureRange())
    return replace(
        book,
        exposure=_add_amount(book.exposure, symbol, more),
        sector_exposure=_add_amount(book.sector_exposure, desk.sectors.get(symbol, ""), more),
        gross=book.gross + more,
        spans={**book.spans, symbol: ExposureRange(span.lowest + becomes - was, span.highest + becomes - was)},
    )


def _worth_more(desk: Desk, symbol: str, gain: Decimal) -> Desk:
    """Return the desk of an account worth `gain` USD more because of its position in a symbol."""
    book, equity = desk.book, desk.book.equity + gain
    worth = replace(book.worth, total=book.worth.total + gain) if book.worth else None
    owners = [position for position in desk.positions if position.symbol == symbol]
    all_held = sum((abs(owner.quantity) for owner in owners), ZERO)
    results = dict(book.day_results)
    for lot in owners:
        if (result := results.get(lot.strategy, ZERO)) is not None:
            results[lot.strategy] = result + gain * abs(lot.quantity) / all_held
    loss = max(desk.account.last_equity - equity, ZERO)
    changed = replace(book, equity=equity, day_loss=loss, worth=worth, day_results=results)
    return replace(desk, book=changed, account=replace(desk.account, equity=equity))


def _without_working(desk: Desk, symbol: str, usd: Decimal, side: Side) -> Desk:
    book, span = desk.book, desk.book.spans.get(symbol, ExposureRange())
    less = min(usd, book.exposure.get(symbol, ZERO))
    narrower = (
        ExposureRange(span.lowest, span.highest - less)
        if side is Side.BUY
        else ExposureRange(span.lowest + less, span.highest)
    )
    return replace(
        desk,
        book=replace(
            book,
            exposure=_add_amount(book.exposure, symbol, -less),
            sector_exposure=_add_amount(book.sector_exposure, desk.sectors.get(symbol, ""), -less),
            gross=book.gross - less,
            spans={**book.spans, symbol: narrower},
        ),
    )


def _add_amount(amounts: Mapping[str, Decimal], name: str, more: Decimal) -> Mapping[str, Decimal]:
    return {**amounts, name: amounts.get(name, ZERO) + more}


def _price(desk: Desk, symbol: str, otherwise: Decimal) -> Decimal:
    """Return a symbol's price on a desk: its quote's midpoint, otherwise its last price."""
    quote = desk.quotes.get(symbol)
    return quote.middle if quote else desk.books.totals.last_price.get(symbol, otherwise)


def with_words(desk: Desk, rules: Rules) -> Desk:
    """Return the desk with the sectors, themes and betas that these rules assign to symbols."""
    rules, book = rules.with_contracts(desk.listings), desk.book
    if (rules.sectors, rules.themes, rules.betas) == (desk.sectors, book.themes, book.betas):
        return desk
    by_sector: Mapping[str, Decimal] = {}
    for symbol, usd in book.exposure.items():
        by_sector = _add_amount(by_sector, rules.sectors.get(symbol, ""), usd)
    changed = replace(book, sector_exposure=by_sector, themes=rules.themes, betas=rules.betas)
    return replace(desk, sectors=rules.sectors, book=changed)
