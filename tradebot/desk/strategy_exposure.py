"""Compute each strategy's exposure and the margin it uses, assuming every working order fills at its worst price.

Each pass computes this once, including unresolved orders. Losses at stops are computed only if a limit needs them.

The gates measure an entry at its worst price, but a short sale may fill at a better price. Its stop is a fraction of
the fill price, so a better fill makes the loss at the stop slightly larger in USD. The gates can't know that in
advance. So while such a position is open, it is measured at the gates' price, and an entry that the gates allowed stays
within its limits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import takewhile
from typing import NamedTuple

from tradebot.exits.exit_rule import WatchedPosition, best_price
from tradebot.exits.rules import rule_levels, worst_stop
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.bar import Quote
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose, Side
from tradebot.model.desk import StrategyExposure
from tradebot.model.instrument import ONE, Listing, notional
from tradebot.model.intent import Intent, Operation, is_our_order_id
from tradebot.model.margin import Margin, Place, PositionReach
from tradebot.model.order import Order
from tradebot.model.position import EntryTerms, Position, round_to_nine_places
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.ports.world import Rules
from tradebot.reconciliation.new_fills import MissingFill


def strategy_exposures(
    view: BrokerView, books: Books, prices: Mapping[str, Decimal], missing: Sequence[MissingFill], rules: Rules
) -> Iterator[StrategyExposure]:
    """Yield each strategy's exposures in the worst case: every opening order fills at the worst known price.

    `prices` are in USD per share. A working exit adds nothing, because its position counts until the exit fills. An
    unresolved exit counts in addition to its position.
    """
    rules_for_risk = rules if _asks_for_risk(rules) else None
    # A lot counts at the broker's value per share or at the price, whichever is more.
    valued = {p.symbol: abs(p.value / p.value_at(ONE)) for p in view.positions if p.quantity}
    for position in books.totals.own_positions():
        cost = abs(position.average_price)
        price = max(prices.get(position.symbol, cost), valued.get(position.symbol, Decimal(0)))
        usd = abs(position.value_at(price))
        lost = risk_of_position(rules_for_risk, books, position) if rules_for_risk else None
        yield StrategyExposure(position.strategy, position.symbol, Side.of(position.quantity), usd, True, lost)
    for missing_fill in missing:
        record = books.intent_behind(missing_fill.order)
        if record is not None and record.intent.purpose is Purpose.OPEN:
            usd = missing_fill_usd(missing_fill, view, books, prices)
            yield _of(record.intent, abs(missing_fill.signed_quantity), usd, rules_for_risk, closes=True)
    for order in view.orders:
        record = books.intent_behind(order)
        if record is not None and record.intent.purpose is Purpose.OPEN:
            usd = working_order_usd(order, order.open_quantity, view, books, prices)
            yield _of(record.intent, order.open_quantity, usd, rules_for_risk, closes=False)
    for record in books.unresolved_intents:
        if record.intent.operation is Operation.SUBMIT and not record.intent.protects:
            usd = intent_usd(record.intent, prices)
            yield _of(record.intent, record.intent.quantity, usd, rules_for_risk, closes=False)


def _of(intent: Intent, quantity: Decimal, usd: Decimal, rules: Rules | None, *, closes: bool) -> StrategyExposure:
    """Return the exposure of an order; an order that closes counts on its position's side."""
    sign = intent.side.sign if intent.purpose is Purpose.OPEN else -intent.side.sign
    # Only an order that opens can add to the loss at stops.
    opens = intent.purpose is Purpose.OPEN
    lost = _risk_of_intent(rules, intent, quantity, usd) if rules and opens else Decimal(0)
    return StrategyExposure(
        intent.key.strategy, intent.instrument.symbol, Side.of(sign), usd, closes, lost if rules else None
    )


def missing_fill_usd(
    missing_fill: MissingFill, view: BrokerView, books: Books, prices: Mapping[str, Decimal]
) -> Decimal:
    """Return how much a fill may have cost in USD, if no list of fills shows it yet."""
    return notional(
        abs(missing_fill.signed_quantity),
        _order_price(missing_fill.order, prices),
        _multiplier(missing_fill.order, view, books),
    )


def working_order_usd(
    order: Order, quantity: Decimal, view: BrokerView, books: Books, prices: Mapping[str, Decimal]
) -> Decimal:
    """Return the most that `quantity` of a working order may cost in USD.

    If it is our own entry, at least its intent's price counts, whatever limit the venue reports.
    """
    record = books.intent_behind(order)
    entered = record is not None and record.intent.purpose is Purpose.OPEN
    own = _intent_price(record.intent, prices) if record and entered else Decimal(0)
    return notional(quantity, max(_order_price(order, prices), own), _multiplier(order, view, books))


def intent_usd(intent: Intent, prices: Mapping[str, Decimal]) -> Decimal:
    """Return how much one of our orders may cost in USD."""
    return intent.instrument.notional(intent.quantity, _intent_price(intent, prices))


def _multiplier(order: Order, view: BrokerView, books: Books) -> Decimal:
    """Return the multiplier of an order's instrument; 1 if all we know is someone else's order."""
    record = books.intent_behind(order)
    if record is not None:
        return record.intent.instrument.multiplier
    return next((p.multiplier for p in view.positions if p.symbol == order.symbol), ONE)


def _order_price(order: Order, prices: Mapping[str, Decimal]) -> Decimal:
    """Return what one share of an order may cost, in USD; a limit that someone else chose is taken as it is.

    Our own limits are never far from the market, so if the venue reports one that is, the venue is wrong.
    """
    price = prices.get(order.symbol, Decimal(0))
    if order.limit_price and not is_our_order_id(order.client_order_id):
        return order.limit_price
    return max(order.limit_price or order.filled_average_price or price, price)


def _intent_price(intent: Intent, prices: Mapping[str, Decimal]) -> Decimal:
    """Return what one share of an order of ours may cost, in USD: its limit or the known price, whichever is more.

    A short sale fills at its limit or higher, so its limit alone would be too little. A passive entry may still step to
    its collar. A market order whose symbol has no current price counts at the midpoint at which it was sent.
    """
    collar = intent.approach.collar if intent.approach else Decimal(0)
    worst = max(intent.limit_price or Decimal(0), collar, prices.get(intent.instrument.symbol, Decimal(0)))
    return worst or intent.send_mid or intent.decision_mid or worst


def day_results(books: Books, quotes: Mapping[str, Quote], trade_date: date) -> Mapping[str, Decimal | None]:
    """Return each strategy's result of a day in USD, negative for a loss; None if a position has no price.

    For a closed position, its whole profit counts on the day it was closed. For an open one, the change of the midpoint
    counts, since the previous close or, if it was opened today, since its entry.
    """
    results, day = defaultdict[str, Decimal](Decimal), books.day
    # A month of closed trades, oldest first; nearly all are from earlier days.
    newest = reversed(books.totals.round_trips)
    for trip in takewhile(lambda trip: day.trade_date_of(trip.closed_at) >= trade_date, newest):
        if day.trade_date_of(trip.closed_at) == trade_date:
            results[trip.strategy] += trip.profit
    unknown = set[str]()
    for position in books.totals.own_positions():
        change = _change(position, quotes.get(position.symbol), trade_date, day)
        results[position.strategy] += change or 0
        unknown |= {position.strategy} if change is None else set()
    return {strategy: None if strategy in unknown else result for strategy, result in results.items()}


def _change(position: Position, quote: Quote | None, trade_date: date, day: VenueDay) -> Decimal | None:
    """Return the profit of an open position on a day, in USD; None if a price is missing."""
    if quote is None:
        return None
    entered = day.trade_date_of(position.opened_at) == trade_date
    earned = position.realized_pnl - position.realized_before if entered else Decimal(0)
    for lot in position.lots:
        began = lot.price if day.trade_date_of(lot.at) == trade_date else quote.previous_close
        if began is None:
            return None
        earned += notional(lot.quantity, quote.middle - began, position.multiplier)
    return earned


class PossibleExposure(NamedTuple):
    """What an order may still add to a symbol: exposure in USD, unsigned quantity, and the worst price.

    The price is None if the order has already filled, or may fill at any price.
    """

    symbol: str
    side: Side
    usd: Decimal
    quantity: Decimal
    price: Decimal | None


def margin_of(
    view: BrokerView,
    prices: Mapping[str, Decimal],
    orders: Iterable[PossibleExposure],
    quotes: Mapping[str, Quote],
    listings: Mapping[str, Listing],
) -> Margin | None:
    """Return the margin of an account with all its open orders filled; None for a cash account.

    A position is valued at `prices` if that is more than the venue's value.
    """
    account = view.account
    if account.settlement is Settlement.PAID:
        return None
    open_positions = [position for position in view.positions if position.quantity]
    # Prefer the venue's own prices, because it liquidates by them.
    by_venue = {p.symbol: p.current_price for p in open_positions if p.current_price and p.current_price > 0}
    marks = {symbol: quote.middle for symbol, quote in quotes.items()} | by_venue
    reach_by_position = dict(_reach(position, prices[position.symbol]) for position in open_positions)
    figures = account.initial_margin, account.maintenance_margin, account.available
    margin = Margin(*figures, listings, marks, reach_by_position, reach_by_position)
    for order in orders:
        margin = margin.with_order(order.symbol, order.side, order.quantity, order.usd, order.price)
    return margin


def _reach(position: BrokerPosition, price: Decimal) -> tuple[Place, PositionReach]:
    usd = max(abs(position.value), abs(position.value_at(price)))
    return (position.symbol, Side.of(position.quantity)), PositionReach(abs(position.quantity), usd, Decimal(0))


MOST_BETTER = Decimal("1.25")
"""A fill better than its worst price by more than this factor is ignored, because it suggests a split."""


def _asks_for_risk(rules: Rules) -> bool:
    """Return True if the account or a strategy has a limit on losses at stops."""
    every = (rules.limits, *(own.limits for own in rules.own.values()))
    return any(limits.max_open_risk_fraction or limits.max_stop_loss_usd for limits in every)


def risk_of_position(rules: Rules, books: Books, position: Position) -> Decimal | None:
    """Return a position's loss from its entry to its stop, in USD; zero if the stop locks in a profit.

    It is None if no rule has a stop price now. The stop is the tightest of its rules given the stored best price, so it
    only moves toward profit.
    """
    entry_terms = books.kept.get(position.key, EntryTerms())
    watched = WatchedPosition(position, best_price(position, None, entry_terms.best), books.terms_of(position))
    stop = rule_levels(watched, rules.exits_watching(position, entry_terms)).stop
    if stop is None:
        return None
    lost, worst = max(position.cost - position.value_at(stop), Decimal(0)), entry_terms.worst_price
    if position.quantity > 0 or worst is None or not worst < position.average_price <= MOST_BETTER * worst:
        return lost
    return round_to_nine_places(lost * worst / position.average_price)


def _risk_of_intent(rules: Rules, intent: Intent, quantity: Decimal, usd: Decimal) -> Decimal | None:
    """Return the loss at the stop of `quantity` shares of an opening order, in USD; None if it has no stop.

    `usd` is what they may cost now. That only counts if the order may still cost more than its worst price, as a market
    order to buy may.
    """
    if intent.worst_price is not None and (intent.side is Side.SELL or intent.limit_price is not None):
        usd = min(usd, intent.instrument.notional(quantity, intent.worst_price))
    price = intent.limit_price or intent.worst_price
    stops = (intent.stop_loss_fraction, worst_stop(rules.exits_of(intent.key.strategy), price, intent.instrument))
    nearest = min((stop for stop in stops if stop is not None), default=None)
    return None if nearest is None else usd * nearest
