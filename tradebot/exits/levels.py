"""The prices at which a venue can close a position by itself: its stop, and its targets."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from tradebot.exits.held import Held
from tradebot.exits.kind import ExitRule, PriceRule
from tradebot.exits.kinds.profit_target import ProfitTarget


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a position is to be closed, in USD per share, not rounded.

    `stop` is None if no rule has a stop price now. Each target is a price with the share of the original quantity that
    is closed there; the first is the nearest.
    """

    stop: Decimal | None = None
    targets: tuple[tuple[Decimal, Decimal], ...] = ()


def levels(held: Held, rules: Iterable[ExitRule]) -> Levels:
    """Return the tightest stop price in force, and the targets, of the rules that watch a position."""
    by_price = [rule for rule in rules if isinstance(rule, PriceRule)]
    stops = [level for rule in by_price if (level := rule.level(held)).armed and not level.ahead]
    prices = [level.price for level in stops if level.price is not None]
    stop = max(prices, key=lambda price: price * held.direction, default=None)
    goals = (rule.level(held).price for rule in by_price if isinstance(rule, ProfitTarget))
    return Levels(stop, tuple((price, Decimal(1)) for price in goals if price is not None))
