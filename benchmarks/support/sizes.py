"""The size of a benchmark: large enough for meaningful figures, or just enough to show that it runs."""

import os
from typing import TypeVar

Size = TypeVar("Size")

SMALLEST = "BENCHMARKS_SMALLEST"
"""The environment variable that selects the smallest size; the child processes of a benchmark inherit it."""


def sized(usual: Size, smallest: Size) -> Size:
    """Return the usual size, or the smallest one if that is selected."""
    return smallest if os.environ.get(SMALLEST) else usual
