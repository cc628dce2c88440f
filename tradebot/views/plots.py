"""Series of numbers, cut down to what a person can look at."""

from collections.abc import Sequence
from decimal import Decimal


def thinned(values: Sequence[Decimal], most: int) -> tuple[Decimal, ...]:
    """Return at most so many of the values, evenly spread, the last one among them."""
    buckets = min(most, len(values))
    return tuple(values[(place + 1) * len(values) // buckets - 1] for place in range(buckets))
