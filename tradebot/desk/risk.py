"""What each position and each order that opens loses at its stop. It is worked out only for limits that ask for it.

The gates measure an entry at its worst price, which a short sale's fill may beat. Its stop is a fraction of the price
at which it filled, so a better fill makes the loss at the stop a little larger in USD. Nobody can know that beforehand,
so such a position is measured at the gates' price for as long as it is open: what they let through keeps its limits.
"""

from decimal import Decimal

from tradebot.exits.kind import Held, best_price
from tradebot.exits.lists import levels, worst_stop
from tradebot.model.books import Books
from tradebot.model.candidate import Side
from tradebot.model.intent import Intent
from tradebot.model.position import Kept, Position, to_nine_places
from tradebot.ports.world import Rules

MOST_BETTER = Decimal("1.25")
"""A fill that beats its worst price by more was none: its shares are worth something else now, as after a split."""


def is_asked(rules: Rules) -> bool:
    """Return True if any limit, the account's or a strategy's own, is on what is lost at stops."""
    every = (rules.limits, *(own.limits for own in rules.own.values()))
    return any(one.max_open_risk_fraction or one.max_stop_loss_usd for one in every)


def of_position(rules: Rules, books: Books, position: Position) -> Decimal | None:
    """Return what a position loses from its entry to its stop, in USD: none if the stop is past the entry.

    It is None if no rule has a stop price now. The stop is the tightest that its rules have by the best price that is
    kept, so it only moves toward profit.
    """
    kept = books.kept.get(position.key, Kept())
    held = Held(position, best_price(position, None, kept.best), books.kept_of(position))
    stop = levels(held, rules.exits_watching(position, kept)).stop
    if stop is None:
        return None
    lost, worst = max(position.cost - position.value_at(stop), Decimal(0)), kept.worst_price
    if position.quantity > 0 or worst is None or not worst < position.average_price <= MOST_BETTER * worst:
        return lost
    return to_nine_places(lost * worst / position.average_price)


def of_intent(rules: Rules, intent: Intent, quantity: Decimal, usd: Decimal) -> Decimal | None:
    """Return what so many shares of an order that opens lose at its stop, in USD; None if it has no stop.

    `usd` is what they may cost now. That counts only if the order may still cost more than its worst price: a market
    order that buys.
    """
    if intent.worst_price is not None and (intent.side is Side.SELL or intent.limit_price is not None):
        usd = min(usd, intent.instrument.notional(quantity, intent.worst_price))
    price = intent.limit_price or intent.worst_price
    stops = (intent.stop_loss_fraction, worst_stop(rules.exits_of(intent.key.strategy), price, intent.instrument))
    nearest = min((stop for stop in stops if stop is not None), default=None)
    return None if nearest is None else usd * nearest
