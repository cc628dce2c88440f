"""The price levels of a position's exit rules that an order resting at the venue can stand for."""

from decimal import Decimal
from typing import NamedTuple

from tradebot.exits.held import Held
from tradebot.exits.kind import PriceRule, PriceTarget, Stop
from tradebot.exits.lists import Exits


class RestingLevels(NamedTuple):
    """The tightest stop in force for the whole position, or None, and where profits are taken, the nearest first.

    Prices are exact, so the caller rounds them to ticks. The targets' shares never add up to more than is held.
    """

    stop: Stop | None
    targets: tuple[PriceTarget, ...]


def resting(held: Held, rules: Exits) -> RestingLevels:
    """Return the levels that can rest at the venue. `rules` are all that are in force for the position.

    A stop that isn't armed yet isn't in force. The stop only ever moves toward profit as the best price does.
    """
    by_price = [rule for rule in rules if isinstance(rule, PriceRule)]
    levels = [rule.level(held) for rule in by_price]
    stops = [stop for stop in levels if stop.price is not None and stop.armed and not stop.ahead]
    tightest = max(stops, key=lambda stop: held.direction * (stop.price or Decimal(0)), default=None)
    found = [target for rule in by_price for target in rule.targets(held)]
    return RestingLevels(tightest, _within(held, sorted(found, key=lambda target: held.direction * target.price)))


def _within(held: Held, targets: list[PriceTarget]) -> tuple[PriceTarget, ...]:
    """Return the targets with no more shares than are left when the price gets there."""
    left, fitting = abs(held.position.quantity), list[PriceTarget]()
    for target in targets:
        shares = min(target.shares, left)
        if shares:
            fitting.append(target._replace(shares=shares))
            left -= shares
    return tuple(fitting)
