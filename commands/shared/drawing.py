"""Numbers for people who would rather look: bars, a line of eight heights, spans of time."""

from collections.abc import Sequence
from decimal import Decimal

HEIGHTS = "▁▂▃▄▅▆▇█"


def bar(count: int, most: int, width: int) -> str:
    """Return a bar as long as `count` is of `most`, at least one mark for anything that is there."""
    return "█" * max(1, width * count // most) if count else ""


def sparkline(values: Sequence[Decimal], width: int) -> str:
    """Return values as a line of heights from the lowest to the highest; the last of each bucket stands for it."""
    shown = thinned(values, width)
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    steps = len(HEIGHTS) - 1
    # A line that never moved is drawn in the middle, because it is neither high nor low.
    return "".join(HEIGHTS[int((value - low) / (high - low) * steps) if high > low else steps // 2] for value in shown)


def thinned(values: Sequence[Decimal], most: int) -> tuple[Decimal, ...]:
    """Return at most so many of the values, evenly spread, the last one among them."""
    buckets = min(most, len(values))
    return tuple(values[(place + 1) * len(values) // buckets - 1] for place in range(buckets))


def time_left(seconds: float) -> str:
    """Return when something is due: in 3h20m, or due 14h27m ago where its time is past."""
    return f"in {duration(seconds)}" if seconds > 0 else f"due {duration(-seconds)} ago"


def way_there(distance: Decimal) -> str:
    """Return how far a price is, from a fraction: 0.4%, or passed by 0.4% where it is negative."""
    return f"{distance:.1%}" if distance > 0 else f"passed by {-distance:.1%}"


def duration(seconds: float) -> str:
    """Return a span of time in its two largest units: 45s, 12m, 3h20m, 2d4h."""
    whole = int(abs(seconds))
    sign = "-" if seconds < 0 else ""
    if whole < 60:
        return f"{sign}{whole}s"
    minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86_400
    if days:
        return f"{sign}{days}d{hours}h"
    return f"{sign}{hours}h{minutes:02d}m" if hours else f"{sign}{minutes}m"
