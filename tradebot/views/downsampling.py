"""Downsample a long series to fit a chart."""

from collections.abc import Sequence
from typing import TypeVar

Point = TypeVar("Point")


def downsample(values: Sequence[Point], most: int) -> tuple[Point, ...]:
    """Return at most `most` of the values, evenly spread, including the last one."""
    buckets = min(most, len(values))
    return tuple(values[(index + 1) * len(values) // buckets - 1] for index in range(buckets))
