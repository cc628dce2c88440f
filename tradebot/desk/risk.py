"""What each position and each order that opens loses at its stop. It is worked out only for limits that ask for it."""

from decimal import Decimal

from tradebot.exits.kind import Held, best_price
from tradebot.exits.lists import levels, worst_stop
from tradebot.model.books import Books
from tradebot.model.intent import Intent
from tradebot.model.position import Kept, Position
from tradebot.ports.world import Rules


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
    return None if stop is None else max(position.cost - position.value_at(stop), Decimal(0))


def of_intent(rules: Rules, intent: Intent, usd: Decimal) -> Decimal | None:
    """Return what an order that opens loses at its stop, in USD, if it costs `usd`; None if it has no stop."""
    stops = (intent.stop_loss_fraction, worst_stop(rules.exits_of(intent.key.strategy)))
    nearest = min((stop for stop in stops if stop is not None), default=None)
    return None if nearest is None else usd * nearest
