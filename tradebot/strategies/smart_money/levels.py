"""Compute a setup's entry, invalidation and targets. Prices are those of the spot pair, in USD."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from tradebot.signals.structures.bars import exact
from tradebot.signals.structures.structures import ReadingKind
from tradebot.strategies.smart_money.settings import RegimeRules, SetupRegime, StopOutSettings

MOST_TARGETS = 5
MOST_RISK = Decimal("0.999999")
"""The largest usable distance of a stop, as a fraction of the entry price.

A wider average range isn't meaningful either.
"""
FARTHEST = 10
"""A swing farther away than this multiple of the entry price, as before a crash, isn't used as a target."""


class Setup(Struct, frozen=True):
    """A reason to enter: the kind of structure, its side (+1 or -1), its regime, and two prices.

    Beyond the price `invalid` the setup is no longer valid. `known_at` is when the structure was known, in seconds
    since 1970 UTC.
    """

    kind: ReadingKind
    sign: int
    regime: SetupRegime
    entry: float
    invalid: float
    known_at: int


class SetupLevels(Struct, frozen=True):
    """The prices of a trade. `risk` is the distance from the entry to the stop, which is one R."""

    entry: Decimal
    invalid: Decimal
    stop: Decimal
    targets: tuple[Decimal, ...]

    @property
    def risk(self) -> Decimal:
        return abs(self.entry - self.stop)

    @property
    def target(self) -> Decimal:
        return self.targets[0]

    def fraction(self, price: Decimal) -> Decimal:
        """Return how far a price is from the entry, as a fraction of the entry."""
        return abs(price - self.entry) / self.entry


def stop_multiple(rules: RegimeRules, stop_outs: StopOutSettings, count: int) -> Decimal:
    """Return how many ATR the stop is beyond the invalidation price, after `count` recent losses in the coin."""
    if count < stop_outs.from_count:
        return rules.stop_atr_multiple
    wider = stop_outs.multiple + stop_outs.step * (count - stop_outs.from_count)
    return rules.stop_atr_multiple * min(wider, stop_outs.max_multiple)


def levels(
    setup: Setup, rules: RegimeRules, multiple: Decimal, atr: float, swings: Iterable[float]
) -> SetupLevels | None:
    """Return the prices of a setup, unrounded, or None if the setup can't be traded.

    A setup can't be traded if its stop isn't on the losing side of the entry, if the risk or the `atr` (USD) is about
    as large as the entry price, or if the price of the minimum reward isn't between zero and `FARTHEST` times the entry
    price. `multiple` is the distance from the invalid price to the stop in `atr`, and `swings` are the prices of the
    swings ahead of the entry. The targets are the nearest swings with at least the regime's minimum reward, at most
    five. If there are none, the only target is the price of exactly that reward.
    """
    sign, entry, invalid = setup.sign, exact(setup.entry), exact(setup.invalid)
    stop = invalid - sign * multiple * exact(atr)
    risk = sign * (entry - stop)
    if risk <= 0 or stop <= 0 or max(risk, exact(atr)) > MOST_RISK * entry:
        return None
    least, most = entry + sign * rules.min_reward * risk, FARTHEST * entry
    if not 0 < least <= most:
        return None
    return SetupLevels(entry, invalid, stop, tuple(_targets(sign, least, [price for price in swings if price <= most])))


def _targets(sign: int, least: Decimal, swings: Iterable[float]) -> Sequence[Decimal]:
    ahead = sorted({exact(price) for price in swings}, key=lambda price: sign * price)
    reached = [price for price in ahead if sign * (price - least) >= 0]
    return reached[:MOST_TARGETS] or [least]
