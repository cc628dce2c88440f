"""Where no market can be played again, an order is assumed to fill at the quote that its pass saw."""

from decimal import Decimal

from tests.replaying.test_parity import CLOSE, day, fill, filled
from tradebot.model.candidate import Side
from tradebot.model.parity import IN_FULL, DifferenceType, ParityCause
from tradebot.model.struct_tools import replace
from tradebot.replaying.parity import at_quotes, compare, no_known_cause

BPS = Decimal(5)


def test_fill_is_beside_the_quote_that_its_pass_saw() -> None:
    live = day()
    (name, sent), *_ = live.sent.items()
    quote = live.passes[sent.slot].desk.quotes[sent.intent.key.symbol]
    assert sent.intent.side is Side.BUY
    assumed = at_quotes(live, live, BPS).sent[name].fills
    assert [(one.price, one.quantity) for one in assumed] == [(quote.ask * (1 + BPS / IN_FULL), sent.intent.quantity)]
    shares = int(sent.intent.quantity)
    dearer = filled(live, {name: (fill(sent.intent, int(quote.ask) + 1, shares, 1),)})
    found = compare(dearer, at_quotes(dearer, live, BPS), CLOSE, no_known_cause)
    (cost,) = [one for one in found.differences if one.order == name]
    assert (cost.what, cost.cause) == (DifferenceType.FILL, ParityCause.FILL_MODEL)
    assert cost.cost_usd == found.worse_usd == shares * (int(quote.ask) + 1 - assumed[0].price) > 0


def test_order_whose_limit_is_not_reached_with_the_slippage_fills_nothing() -> None:
    live = day()
    (name, sent), *_ = live.sent.items()
    assert sent.intent.limit_price is not None
    assert at_quotes(live, live, Decimal(5000)).sent[name].fills == ()


def test_attached_stop_keeps_its_fill_and_is_compared_apart_from_its_entry() -> None:
    (name, sent), *_ = (live := day()).sent.items()
    price = int(live.passes[sent.slot].desk.quotes[sent.intent.key.symbol].ask) + 1
    shares = int(sent.intent.quantity)
    entry, stop = fill(sent.intent, price, shares, 1), replace(fill(sent.intent, 90, shares, 20), side=Side.SELL)
    ran = filled(live, {name: (entry, stop)})
    again = at_quotes(ran, live, BPS)
    assumed, attached = again.sent[name].fills
    assert (assumed.at, attached) == (entry.at, stop)
    found = compare(ran, again, CLOSE, no_known_cause)
    (cost,) = [one for one in found.differences if one.order == name]
    assert cost.cost_usd == found.worse_usd == shares * (price - assumed.price) > 0
    executed = (f"{one.side} {shares} at {one.price:.4f}, {one.at:%H:%M:%SZ}" for one in (entry, stop))
    assert cost.live == "; ".join(executed)
    assert at_quotes(ran, live, Decimal(5000)).sent[name].fills == (), "without its entry, no stop fills"
