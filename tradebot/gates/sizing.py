"""Compute an entry's quantity and limit price, exactly, with rounding that can never exceed a limit."""

from bisect import bisect_right
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from msgspec import Struct

from tradebot.exits.rules import Exits, worst_stop
from tradebot.gates.gate_declarations import SMALLER, STYLE, GateSettings, declare
from tradebot.gates.shared_gates import answer
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import RiskBook
from tradebot.model.instrument import Listing
from tradebot.model.limits import Limits
from tradebot.model.order import Execution, Style
from tradebot.model.reasons import Reason

ZERO = Decimal(0)


class Size(Struct, frozen=True):
    """An order's quantity (unsigned, whole lots, may be zero), its limit price, and its worst-case notional in USD.

    `worst_price` is the price at which the order is measured. For a buy, that is the limit. A short sale fills at its
    limit or higher, so it is measured at the ask. A position's loss at its stop is measured from that price too
    (`desk.strategy_exposure`). `margin_usd` is the buying power that the venue reserves. In a margin account, that is
    the initial margin; otherwise it is the notional, or a multiple of it for a short sale. `risk_usd` is the notional's
    loss at the entry's stop; None without a stop.
    """

    quantity: Decimal
    limit_price: Decimal
    notional_usd: Decimal
    margin_usd: Decimal
    risk_usd: Decimal | None = None
    worst_price: Decimal | None = None


def marketable_limit(listing: Listing, side: Side, quote: Quote, offset: Decimal) -> Decimal:
    """Return a price beyond the opposite side of the quote by `offset` (a fraction), rounded outward to the tick."""
    touch = quote.ask if side is Side.BUY else quote.bid
    return listing.on_tick(touch * (1 + side.sign * offset), ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


def stop_distance(candidate: Candidate, exits: Exits, price: Decimal | None) -> Decimal | None:
    """Return how far an entry's stop is from a price, as a fraction: its own or its strategy's, whichever is nearer."""
    stops = (candidate.stop_loss_fraction, worst_stop(exits, price, candidate.instrument))
    return min((stop for stop in stops if stop is not None), default=None)


def entry_size(
    candidate: Candidate,
    listing: Listing,
    quote: Quote,
    book: RiskBook,
    limits: Limits,
    short_reserve: Decimal,
    stop: Decimal | None = None,
    *,
    fit_to_room: bool = False,
    room_usd: Decimal | None = None,
) -> Size:
    """Return an entry's size: as many whole lots at the worst price as the smaller of the two order limits allows.

    The book and the limits are the strategy's own, which are never wider than the account's. `short_reserve` is what
    the venue reserves for a short sale, as a multiple of the ask. `stop` is the distance to the entry's stop, as a
    fraction; with a limit on risk, a farther stop makes the size smaller. With `fit_to_room`, existing exposure in the
    symbol and a lack of buying power make it smaller too. A quantity that the candidate asks for, and a limit on an
    order's units, can only reduce the size. `room_usd` is what the symbol's tier still allows; None without a tier.
    """
    instrument, side = listing.instrument, candidate.side
    price = marketable_limit(listing, side, quote, limits.limit_offset_fraction)
    worst = price if side is Side.BUY else max(price, quote.ask)
    margin = worst if side is Side.BUY else max(price, quote.ask * short_reserve)
    unit = instrument.notional(instrument.lot, worst)
    budget, held_quantity = _budget(book, limits, stop), book.exposure.get(candidate.symbol, ZERO)
    if fit_to_room:
        budget = min(budget, limits.max_symbol_fraction * book.equity - held_quantity)
    if room_usd is not None:
        budget = min(budget, room_usd)
    quantity = (max(budget, ZERO) / unit).to_integral_value(ROUND_DOWN) * instrument.lot
    if limits.max_order_contracts is not None:
        quantity = min(quantity, listing.whole_lots(Decimal(limits.max_order_contracts)))
    if candidate.quantity is not None:
        quantity = min(quantity, listing.whole_lots(candidate.quantity))

    def size_of(quantity: Decimal) -> Size:
        worth = instrument.notional(quantity, worst)
        reserved = instrument.notional(quantity, margin)
        if book.margin is not None:
            reserved = book.margin.initial_of(candidate.symbol, side, quantity, worth)
        return Size(quantity, price, worth, reserved, None if stop is None else worth * stop, worst)

    largest, have = size_of(quantity), max(book.buying_power, ZERO)
    if not fit_to_room or largest.margin_usd <= have:
        return largest
    # A position's margin never falls as it grows, but jumps where it reaches another margin level.
    lots = range(int(quantity / instrument.lot) + 1)
    fitting = bisect_right(lots, have, key=lambda count: size_of(count * instrument.lot).margin_usd)
    return size_of((fitting - 1) * instrument.lot)


def _budget(book: RiskBook, limits: Limits, stop: Decimal | None) -> Decimal:
    """Return the largest notional of an order, in USD."""
    largest = min(limits.max_order_fraction * book.equity, limits.max_order_notional_usd)
    if stop is None:
        return largest
    risks = (limits.max_risk_fraction and limits.max_risk_fraction * book.equity, limits.max_stop_loss_usd)
    return min((largest, *(risk / stop for risk in risks if risk is not None)))


def entry_price(listing: Listing, side: Side, quote: Quote, collar: Decimal, execution: Execution) -> Decimal | None:
    """Return the limit price of an entry, or None for a market order.

    `collar` is the limit price of a marketable order. No style's limit price may be worse.
    """
    if execution.style is Style.MARKET:
        return None
    if execution.style is Style.MARKETABLE:
        return collar
    return _within(side, passive_price(listing, side, quote, Decimal(0)), collar)


def liquidity(side: Side, quote: Quote, quantity: Decimal, execution: Execution) -> tuple[Decision, ...]:
    """Refuse an entry that is too large for the quoted size on the opposite side; decide nothing if no limit is set."""
    if execution.max_quote_share is None:
        return ()
    shown = quote.ask_size if side is Side.BUY else quote.bid_size
    if shown is None:
        return (Decision(Gate.LIQUIDITY, Verdict.UNKNOWN, Reason.QUOTE_TOO_THIN, quantity),)
    limit = execution.max_quote_share * shown
    return (answer(Gate.LIQUIDITY, quantity <= limit, Reason.QUOTE_TOO_THIN, quantity, limit),)


def passive_price(listing: Listing, side: Side, quote: Quote, share: Decimal) -> Decimal:
    """Return a price inside the spread: a fraction `share` of the way from the order's own side to the other, on a
    tick.

    The price is rounded toward the order's own side and stays at least one tick short of the other side, so the order
    rests and adds liquidity.
    """
    near, far = (quote.bid, quote.ask) if side is Side.BUY else (quote.ask, quote.bid)
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    price = listing.on_tick(near + share * (far - near), rounding)
    if (far - price) * side.sign <= 0:
        return listing.on_tick(far - side.sign * listing.tick_at(far), rounding)
    return price


def stepped_price(
    listing: Listing,
    side: Side,
    quote: Quote,
    execution: Execution,
    waited_s: float,
    *,
    previous: Decimal,
    collar: Decimal,
    offset: Decimal,
) -> Decimal:
    """Return the price of a passive entry that has waited `waited_s` seconds since it was first sent.

    The entry's price moves across the spread in equal steps. After the last step, it is a marketable limit, `offset` (a
    fraction) past the opposite side. The price never moves back from `previous`, and never past the `collar`.
    """
    step = int(waited_s // execution.patience_s)
    if step > execution.steps:
        price = marketable_limit(listing, side, quote, offset)
    else:
        price = passive_price(listing, side, quote, Decimal(step) / (execution.steps + 1))
    ahead = max(price, previous) if side is Side.BUY else min(price, previous)
    return _within(side, ahead, collar)


def last_step_due(execution: Execution, waited_s: float) -> bool:
    """Return True if a passive entry has used up the time for all its steps."""
    return waited_s >= execution.patient_s


def quote_to_step_by(quote: Quote | None, now: datetime, limits: Limits) -> Quote | None:
    """Return the quote if it is fresh and its spread narrow enough for an entry, otherwise None."""
    if quote is None or not -limits.max_clock_skew_s <= quote.age_s(now) <= limits.max_quote_age_s:
        return None
    return quote if quote.ask - quote.bid <= limits.max_spread_fraction * quote.middle else None


def _within(side: Side, price: Decimal, collar: Decimal) -> Decimal:
    return min(price, collar) if side is Side.BUY else max(price, collar)


declare(Gate.LIQUIDITY, reads=GateSettings(execution=("max_quote_share", STYLE), sized=SMALLER))
