"""Series of numbers, reduced to as many points as a person can read."""

from collections.abc import Sequence
from decimal import Decimal


def thinned(values: Sequence[Decimal], most: int) -> tuple[Decimal, ...]:
    """Return at most `most` of the values, evenly spread, including the last one."""
    buckets = min(most, len(values))
    return tuple(values[(place + 1) * len(values) // buckets - 1] for place in range(buckets))
