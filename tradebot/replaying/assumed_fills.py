"""What a backtest assumes of an order at the quote that its pass saw: it fills there at once, and pays the slippage.

That is all there is to compare fills with where no market can be played again.
"""

from decimal import Decimal

from tradebot.model.candidate import Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Fill, OrderType
from tradebot.model.parity import IN_FULL
from tradebot.replaying.parity import Ran, Sent

AT_ONCE = frozenset({OrderType.MARKET, OrderType.LIMIT})
"""The types of orders that may fill at once; a stop waits for its price."""


def at_quotes(live: Ran, again: Ran, slippage_bps: Decimal) -> Ran:
    """Return passes that were decided again, with the requests of a session as they would have filled at the quotes.

    A request that rests at the venue, or whose pass saw no quote, counts as filled as it was.
    """
    sent = {name: _assumed(one, live, slippage_bps) for name, one in live.sent.items()}
    return Ran(again.passes, sent)


def _assumed(one: Sent, live: Ran, slippage_bps: Decimal) -> Sent:
    """Return a request with the fills that are assumed of it."""
    intent, seen = one.intent, live.passes.get(one.slot)
    quote = seen.desk.quotes.get(intent.key.symbol) if seen else None
    if quote is None or intent.operation is not Operation.SUBMIT or intent.protects or not _takes(intent):
        return one
    touch = quote.ask if intent.side is Side.BUY else quote.bid
    return one._replace(fills=_filled(one, touch * (1 + intent.side.sign * slippage_bps / IN_FULL)))


def _takes(intent: Intent) -> bool:
    """Return True if a request is to fill at once: a passive entry looks for a better price first."""
    return intent.order_type in AT_ONCE and intent.approach is None


def _filled(one: Sent, price: Decimal) -> tuple[Fill, ...]:
    intent, limit = one.intent, one.intent.limit_price
    if limit is not None and (price - limit) * intent.side.sign > 0:
        return ()
    # When it filled is up to the venue; only at what price is assumed.
    at = max((fill.at for fill in one.fills), default=intent.at)
    name, multiplier = intent.client_order_id, intent.instrument.multiplier
    return (Fill(name, name, intent.key.symbol, intent.side, intent.quantity, price, at, multiplier),)
