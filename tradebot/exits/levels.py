"""The prices at which a venue can close a position by itself: its stop, and its targets."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from tradebot.exits.held import Held
from tradebot.exits.kind import ExitRule, PriceTarget


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a position is to be closed, in USD per share, not rounded.

    `stop` is None if no rule has a stop price now. Each target is a price with the shares that are closed there, the
    nearest first. They never add up to more than is held; what they leave has no target. `word` is the name of the rule
    whose stop that is, in composed reasons.
    """

    stop: Decimal | None = None
    targets: tuple[PriceTarget, ...] = ()
    word: str = ""


def levels(held: Held, rules: Collection[ExitRule]) -> Levels:
    """Return the tightest stop price in force, and the targets, of the rules that watch a position.

    A stop that isn't armed yet isn't in force. The stop only ever moves toward profit, as the best price does.
    """
    found = [(rule, rule.level(held)) for rule in rules]
    prices = [
        (level.price, rule.name) for rule, level in found if level.price is not None and level.armed and not level.ahead
    ]
    stop, word = max(prices, key=lambda one: (one[0] * held.direction, one[1]), default=(None, ""))
    ahead = [rule for rule, level in found if level.ahead and level.price is not None]
    targets = [target._replace(word=rule.name) for rule in ahead for target in rule.targets(held)]
    within = _within(held, sorted(targets, key=lambda target: (held.direction * target.price, target.word)))
    return Levels(stop, within, word)


def _within(held: Held, targets: Iterable[PriceTarget]) -> tuple[PriceTarget, ...]:
    """Return the targets with no more shares than are left when the price gets there."""
    left, fitting = abs(held.position.quantity), list[PriceTarget]()
    for target in targets:
        shares = min(target.shares, left)
        if shares:
            fitting.append(target._replace(shares=shares))
            left -= shares
    return tuple(fitting)
