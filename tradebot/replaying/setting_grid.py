"""The numbers that a person would type for a setting, in their order: 0.034 and 5300, but not 0.0333333.

A number has two or three digits, from 30 to 299, and zeros: between two neighbors lie at most three percent. Whole
numbers up to 299 are all there.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import Struct

FEWEST, MOST = 30, 300
"""The digits of a number are from the first of these to below the second, in each decade."""
DECADE = MOST - FEWEST
SMALLEST = -9
"""The decade of the smallest fractions: below its first number there is only zero."""
NONE = Decimal(0)


class Scale(Struct, frozen=True):
    """The numbers that a setting may be set to, each with its place; `whole` if it has only whole numbers.

    Both ends may be set: `least` and `most`. With `above`, `least` itself may not.
    """

    whole: bool
    least: Decimal
    most: Decimal
    above: bool = False

    def at(self, place: int) -> Decimal:
        """Return the number at a place; beyond an end, that end."""
        return min(max(self._typed(place), self.least), self.most)

    @property
    def first(self) -> int:
        """Return the place of the lowest number that may be set."""
        return self.next_to(self.least, 1) if self.above else self.place(self.least, ROUND_FLOOR)

    @property
    def last(self) -> int:
        """Return the place of the highest number that may be set."""
        return self.place(self.most, ROUND_CEILING)

    def place(self, number: Decimal, rounding: str) -> int:
        """Return the place of a number, or that of its neighbor below (ROUND_FLOOR) or above (ROUND_CEILING)."""
        if number <= 0:
            return self._zero
        decade = self._decade(number)
        digits = int((number / Decimal(10) ** decade).to_integral_value(rounding))
        return max(decade * DECADE + digits - FEWEST, self._zero)

    def next_to(self, number: Decimal, step: int) -> int:
        """Return the index of the next number above (`step` 1) or below (-1) a value that needn't be on the scale."""
        rounding = ROUND_FLOOR if step > 0 else ROUND_CEILING
        return self.place(number, rounding) + step

    @property
    def _zero(self) -> int:
        return -FEWEST if self.whole else SMALLEST * DECADE - 1

    def _decade(self, number: Decimal) -> int:
        decade = number.adjusted() - (1 if number.scaleb(-number.adjusted()) >= FEWEST // 10 else 2)
        return max(decade, 0 if self.whole else SMALLEST)

    def _typed(self, place: int) -> Decimal:
        if place <= self._zero:
            return NONE
        decade, digits = divmod(place, DECADE)
        if self.whole and decade < 0:
            decade, digits = 0, digits - DECADE
        return (digits + FEWEST) * Decimal(10) ** decade


def format_typed(number: Decimal) -> str:
    """Return a number as a person types it."""
    return f"{number.normalize():f}"
