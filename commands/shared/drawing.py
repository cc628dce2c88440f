"""Format numbers for people: with units, as bars, as a sparkline, as spans of time."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tradebot.model.text import counted, noun
from tradebot.views.thinning import thinned

if TYPE_CHECKING:
    from tradebot.judging.judgment import State
    from tradebot.model.units import Unit
    from tradebot.views.slippage import TotalSlippage

HEIGHTS = "▁▂▃▄▅▆▇█"
ALONE_S = 120
"""From so many seconds on, they are written with minutes and hours."""


STATE_STYLE = {
    "OK": "green",
    "SKIPPED": "dim",
    "NOT_DUE": "dim",
    "DEGRADED": "yellow",
    "UNKNOWN": "magenta",
    "FAILED": "red",
}


def colored(state: "State") -> str:
    """Return the state of a part of the bot as markup, in its color."""
    return f"[{STATE_STYLE[state]}]{state}[/{STATE_STYLE[state]}]"


def bar(count: int, most: int, width: int) -> str:
    """Return a bar for `count` out of `most`; anything above zero gets at least one mark."""
    return "█" * max(1, width * count // most) if count else ""


def sparkline(values: Sequence[Decimal], width: int) -> str:
    """Draw values as a line of heights from lowest to highest; each bucket shows its last value."""
    shown = thinned(values, width)
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    steps = len(HEIGHTS) - 1
    # If all values are equal, they are drawn at half height.
    return "".join(HEIGHTS[int((value - low) / (high - low) * steps) if high > low else steps // 2] for value in shown)


def time_left(seconds: float) -> str:
    """Return when something is due: `in 3h20m`, or `due 14h27m ago` if it is overdue."""
    return f"in {duration(seconds)}" if seconds > 0 else f"due {duration(-seconds)} ago"


def way_there(distance: Decimal) -> str:
    """Return how far away a price is, given as a fraction: `0.4%`, or `passed by 0.4%` if negative."""
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


SMALL = Decimal("0.001")
"""Below it, four decimals say too little of a price."""


def usd(price: Decimal | None) -> str:
    """Return an amount in USD with two decimals, with four below one dollar, or four digits if those begin later.

    It is empty for None.
    """
    if price is None:
        return ""
    if 0 < abs(price) < SMALL:
        return f"{Decimal(f'{price:.3e}'):f}"
    return f"{price:,.4f}" if 0 < abs(price) < 1 else f"{price:,.2f}"


def acts_at(limit: Decimal | None, stop: Decimal | None) -> str:
    """Return the price in USD at which an order acts; for a stop-limit, that is its stop."""
    return f"stop {usd(stop)}" if stop is not None else usd(limit) or "market"


def signed(value: float, places: int) -> str:
    """Return a number with its sign; one that rounds to zero is +0.00, never -0.00."""
    return f"{round(value, places) + 0.0:+.{places}f}"


def to_cent(amount: Decimal) -> Decimal:
    """Return an amount rounded to the cent; one that rounds to zero has no sign."""
    return round(amount, 2) + 0


def gain(amount: Decimal, unit: str = "") -> str:
    """Return an amount with its sign as markup: green above zero, red below."""
    return tinted(amount, f"{to_cent(amount):+,.2f}{unit}")


def tinted(amount: Decimal, text: str) -> str:
    """Return a text about an amount as markup, in the amount's color."""
    cents = to_cent(amount)
    return f"[{'green' if cents > 0 else 'red'}]{text}[/]" if cents and text else text


def measured(value: object, unit: "Unit") -> str:
    """Return a number with its unit; other texts unchanged, empty for None."""
    from tradebot.model.text import plain
    from tradebot.model.units import Unit

    number = _number(value)
    if number is None or unit is Unit.NONE:
        return plain(value)
    if unit is Unit.SHARE_OF_WHOLE:
        return f"{number + 0:.2%}"
    if unit is Unit.USD:
        return f"{usd(number)} USD"
    if unit is Unit.SECONDS:
        return _clocked(number)
    return f"{plain(number)} {noun(1 if number == 1 else 2, *unit.value)}"


def _clocked(seconds: Decimal) -> str:
    """Return seconds in units that are easy to read: 0.2 s, 119 s, 28 min, 29 min 59 s, 26 h 5 min."""
    tenths = round(seconds, 1)
    if abs(tenths) < ALONE_S:
        return f"{tenths + 0:f}".removesuffix(".0") + " s"
    whole = round(abs(seconds))
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return ("-" if seconds < 0 else "") + " ".join(f"{count:,} {unit}" for count, unit in parts if count)


def off_by(distance: float) -> str:
    """Return how far a number was from its limit, given as a fraction of the limit."""
    return "under 1%" if 0 < distance < 0.01 else f"{distance:.0%}"


def _number(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def slippage_sentence(one: "TotalSlippage") -> str:
    """Return what fills cost against one midpoint, and of how many fills that is known."""
    what = f"Slippage against the midpoint at {one.against}"
    if one.total is None:
        return f"{what}: not known for any fill"
    known = f"{one.known:,} of {counted(one.of, 'fill')}"
    age = "" if one.oldest_quote_s is None else f"; the oldest quote was {one.oldest_quote_s:.0f} s old"
    return f"{what}: {one.total.usd:+,.2f} USD, {one.total.bps:+.1f} bps, of {known} (a cost is positive){age}"
