"""The prices of entries by style, each side the mirror image of the other.

A passive entry is a chain of replaces. Its `Approach` holds when it began and its collar, the limit that a marketable
entry would have had; sizing and gates go by the collar. Its price follows from these two, the quote and the time alone,
so a restart changes nothing. Exit passes make the steps, at most one each, by a fresh quote with a narrow spread. A
step adds risk like an entry, so a halt blocks it.
"""

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tradebot.gates.common import answer
from tradebot.gates.sizing import marketable_limit, tick_at
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.execution import Execution, Style
from tradebot.model.instrument import Instrument
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason


def entry_price(
    instrument: Instrument, side: Side, quote: Quote, collar: Decimal, execution: Execution
) -> Decimal | None:
    """Return the limit price an entry is sent with, or None for a market order.

    `collar` is the price of a marketable limit, and the worst price in any style that has a limit.
    """
    if execution.style is Style.MARKET:
        return None
    if execution.style is Style.MARKETABLE:
        return collar
    return _within(side, passive_price(instrument, side, quote, Decimal(0)), collar)


def liquidity(side: Side, quote: Quote, quantity: Decimal, execution: Execution) -> tuple[Decision, ...]:
    """Refuse an entry that is too large for what the quote shows on the other side. Without a limit, ask nothing."""
    if execution.max_quote_share is None:
        return ()
    shown = quote.ask_size if side is Side.BUY else quote.bid_size
    if shown is None:
        return (Decision(Gate.LIQUIDITY, Verdict.UNKNOWN, Reason.QUOTE_TOO_THIN, quantity),)
    limit = execution.max_quote_share * shown
    return (answer(Gate.LIQUIDITY, quantity <= limit, Reason.QUOTE_TOO_THIN, quantity, limit),)


def passive_price(instrument: Instrument, side: Side, quote: Quote, share: Decimal) -> Decimal:
    """Return the price a `share` (0..1) of the way from the own side of the spread to the other, on the tick.

    It is rounded toward the own side, and at least one tick short of the other, so the order rests and adds liquidity.
    """
    near, far = (quote.bid, quote.ask) if side is Side.BUY else (quote.ask, quote.bid)
    raw = near + share * (far - near)
    tick = tick_at(instrument, raw)
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    price = (raw / tick).to_integral_value(rounding=rounding) * tick
    if (far - price) * side.sign <= 0:
        short = far - side.sign * tick_at(instrument, far)
        price = (short / tick).to_integral_value(rounding=rounding) * tick
    return max(price, tick)


def stepped_price(
    instrument: Instrument,
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

    Its steps divide the spread evenly. After the last one, the price is that of a marketable limit, `offset` (a
    fraction) past the other side. It never moves back from `previous`, nor past the `collar`.
    """
    step = int(waited_s // execution.patience_s)
    if step > execution.steps:
        price = marketable_limit(instrument, side, quote, offset)
    else:
        price = passive_price(instrument, side, quote, Decimal(step) / (execution.steps + 1))
    ahead = max(price, previous) if side is Side.BUY else min(price, previous)
    return _within(side, ahead, collar)


def last_step_due(execution: Execution, waited_s: float) -> bool:
    """Return True if a passive entry that has waited this long has had all the time for its steps."""
    return waited_s >= execution.patient_s


def quote_to_step_by(quote: Quote | None, now: datetime, limits: Limits) -> Quote | None:
    """Return the quote if it is fresh enough and its spread narrow enough to enter by; None if not."""
    if quote is None or not -limits.max_clock_skew_s <= quote.age_s(now) <= limits.max_quote_age_s:
        return None
    return quote if quote.ask - quote.bid <= limits.max_spread_fraction * quote.middle else None


def _within(side: Side, price: Decimal, collar: Decimal) -> Decimal:
    return min(price, collar) if side is Side.BUY else max(price, collar)
