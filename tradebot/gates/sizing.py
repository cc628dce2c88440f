"""Compute an entry's quantity and limit price, exactly, with rounding that can never exceed a limit."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from tradebot.limits import Limits
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate, Side
from tradebot.model.desk import Book
from tradebot.model.instrument import Instrument, notional

SUB_DOLLAR_TICK = Decimal("0.0001")
SHORT_MARKUP = Decimal("1.03")


@dataclass(frozen=True, slots=True)
class Size:
    """An order's quantity (unsigned, whole lots, may be zero), its limit price, and its worst-case notional in USD.

    A buy costs at most its limit. A short sale fills at its limit or higher, so it is measured at the ask. `margin_usd`
    is the buying power the venue reserves; for a short sale that is 3% above the ask, per Alpaca's documentation.
    """

    quantity: Decimal
    limit_price: Decimal
    notional_usd: Decimal
    margin_usd: Decimal


def marketable_limit(instrument: Instrument, side: Side, quote: Quote, offset: Decimal) -> Decimal:
    """Return the opposite side of the quote moved outward by `offset` (a fraction), rounded outward to the tick."""
    touch = quote.ask if side is Side.BUY else quote.bid
    raw = touch * (1 + side.sign * offset)
    tick = tick_at(instrument, raw)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    ticks = (raw / tick).to_integral_value(rounding=rounding)
    return max(ticks * tick, tick)


def tick_at(instrument: Instrument, price: Decimal) -> Decimal:
    """Return the smallest difference between two prices at this level."""
    return instrument.tick if price >= 1 else SUB_DOLLAR_TICK


def entry_size(candidate: Candidate, quote: Quote, book: Book, limits: Limits) -> Size:
    """Return the entry's size: as many whole lots as the smaller of the two order limits allows at the worst price.

    The book and the limits are the strategy's own, which are never wider than the account's. A quantity that the
    candidate wishes for makes it smaller, never larger.
    """
    price = marketable_limit(candidate.instrument, candidate.side, quote, limits.limit_offset_fraction)
    budget = min(limits.max_order_fraction * book.equity, limits.max_order_notional_usd)
    worst = price if candidate.side is Side.BUY else max(price, quote.ask)
    margin = worst if candidate.side is Side.BUY else max(price, quote.ask * SHORT_MARKUP)
    unit = notional(candidate.instrument, candidate.instrument.lot, worst)
    lots = (max(budget, Decimal(0)) / unit).to_integral_value(rounding=ROUND_DOWN)
    if candidate.quantity is not None:
        lots = min(lots, (candidate.quantity / candidate.instrument.lot).to_integral_value(rounding=ROUND_DOWN))
    quantity = lots * candidate.instrument.lot
    return Size(
        quantity,
        price,
        notional(candidate.instrument, quantity, worst),
        notional(candidate.instrument, quantity, margin),
    )
