"""How much a benchmark measures: as much as makes sound figures, or as little as shows that it runs."""

import os
from typing import TypeVar

Size = TypeVar("Size")

SMALLEST = "BENCHMARKS_SMALLEST"
"""The environment variable that asks for the smallest size; the processes that a benchmark starts inherit it."""


def sized(usual: Size, smallest: Size) -> Size:
    """Return the usual size, or the smallest one if that is asked for."""
    return smallest if os.environ.get(SMALLEST) else usual
