"""Format numbers for people: with units, as bars, as a sparkline, as spans of time."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING

from commands.shared.light_helpers import clean
from commands.shared.times import when
from tradebot.model.sentences import noun_for, plain, pluralize, price_text
from tradebot.model.series import downsample

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.judging.judgment import HealthState
    from tradebot.model.instrument import Listing
    from tradebot.model.margin import Liquidation
    from tradebot.model.reason_codes import Unit
    from tradebot.views.holdings import AccountMargin, FundingSoFar
    from tradebot.views.slippage import TotalSlippage

ONE_SHARE = re.compile(r"(\d) share\b")
HEIGHTS = "▁▂▃▄▅▆▇█"
ALONE_S = 120
"""From this many seconds on, durations are written with minutes and hours."""


STATE_STYLE = {
    "OK": "green",
    "SKIPPED": "dim",
    "NOT_DUE": "dim",
    "DEGRADED": "yellow",
    "UNKNOWN": "magenta",
    "FAILED": "red",
}


def color_state(state: "HealthState") -> str:
    """Return the health state of a part of the bot as markup in the state's color."""
    return f"[{STATE_STYLE[state]}]{state}[/{STATE_STYLE[state]}]"


def bar(count: int, most: int, width: int) -> str:
    """Return a bar for `count` out of `most`; any count above zero gets at least one mark."""
    return "█" * max(1, width * count // most) if count else ""


def sparkline(values: Sequence[Decimal], width: int) -> str:
    """Draw values as a line of heights from lowest to highest; each bucket shows its last value."""
    shown = downsample(values, width)
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    steps = len(HEIGHTS) - 1
    # If all values are equal, they are drawn at half height.
    return "".join(HEIGHTS[int((value - low) / (high - low) * steps) if high > low else steps // 2] for value in shown)


def time_left(seconds: float) -> str:
    """Return when something is due: `in 3h20m`, or `due 14h27m ago` if it is overdue."""
    return f"in {duration(seconds)}" if seconds > 0 else f"due {duration(-seconds)} ago"


def format_distance(distance: Decimal) -> str:
    """Format a price's distance, given as a fraction: `0.4%`, or `passed by 0.4%` if it is negative."""
    return f"{distance:.1%}" if distance > 0 else f"passed by {-distance:.1%}"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: 45s, 12m, 3h20m, 2d4h."""
    whole = int(abs(seconds))
    sign = "-" if seconds < 0 else ""
    if whole < 60:
        return f"{sign}{whole}s"
    minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86_400
    if days:
        return f"{sign}{days}d{hours}h"
    return f"{sign}{hours}h{minutes:02d}m" if hours else f"{sign}{minutes}m"


class _Traded:
    """What the opened bot trades: the unit of its quantities, and its venue's listings by symbol if it needs them."""

    unit = "share"
    listings: "Mapping[str, Listing]" = MappingProxyType({})


def show_traded(unit: str, listings: "Mapping[str, Listing]") -> None:
    """From now on, show quantities in this unit, and prices with as many decimals as the ticks of these listings."""
    _Traded.unit, _Traded.listings = unit, listings


_own_traded: ContextVar["tuple[str, Mapping[str, Listing]] | None"] = ContextVar("_own_traded", default=None)
"""Unit and listings of the bot that this thread reads, if a process shows several bots; None to use `_Traded`."""


@contextmanager
def local_units(unit: str, listings: "Mapping[str, Listing]") -> Iterator[None]:
    """Show quantities in a unit, and prices to the ticks of these listings, within the block and this thread."""
    token = _own_traded.set((unit, listings))
    try:
        yield
    finally:
        _own_traded.reset(token)


def _shown_traded() -> "tuple[str, Mapping[str, Listing]]":
    return _own_traded.get() or (_Traded.unit, _Traded.listings)


def units(count: int | Decimal = 2) -> str:
    """Return the unit of the open bot's quantities, in singular or plural depending on `count`: share or shares."""
    return noun_for(1 if count == 1 else 2, _shown_traded()[0])


def in_units(sentence: str) -> str:
    """Replace "shares" in a sentence with the unit of the open bot's quantities."""
    return ONE_SHARE.sub(rf"\1 {units(1)}", sentence.replace("shares", units()))


def usd(price: Decimal | None, symbol: str = "") -> str:
    """Return an amount in USD with two decimals, or four below one dollar; empty for None.

    The price of a symbol has as many decimals as its tick, if that is finer.
    """
    if price is None:
        return ""
    listing = _shown_traded()[1].get(symbol)
    return price_text(price, listing.tick_at(price) if listing else None)


def acts_at(limit: Decimal | None, stop: Decimal | None, symbol: str) -> str:
    """Return the price in USD at which an order acts; for a stop-limit, that is its stop."""
    return f"stop {usd(stop, symbol)}" if stop is not None else usd(limit, symbol) or "market"


def format_signed(value: float, places: int) -> str:
    """Return a number with its sign; a value that rounds to zero is +0.00, never -0.00."""
    return f"{round(value, places) + 0.0:+.{places}f}"


def to_cent(amount: Decimal) -> Decimal:
    """Return an amount rounded to the cent; a value that rounds to zero has no sign."""
    return round(amount, 2) + 0


def gain(amount: Decimal, unit: str = "") -> str:
    """Return an amount with its sign as markup: green above zero, red below."""
    return color_by_sign(amount, f"{to_cent(amount):+,.2f}{unit}")


def color_by_sign(amount: Decimal, text: str) -> str:
    """Return a text about an amount as markup, in the color of its sign."""
    cents = to_cent(amount)
    return f"[{'green' if cents > 0 else 'red'}]{text}[/]" if cents and text else text


def format_with_unit(value: object, unit: "Unit") -> str:
    """Return a number with its unit; other texts are unchanged, None is empty."""
    from tradebot.model.reason_codes import Unit

    number = _number(value)
    if number is None or unit is Unit.NONE:
        return plain(value)
    if unit is Unit.SHARE_OF_WHOLE:
        return f"{number + 0:.2%}"
    if unit is Unit.USD:
        return f"{usd(number)} USD"
    if unit is Unit.SECONDS:
        return _duration_text(number)
    if unit is Unit.SHARES:
        return f"{plain(number)} {units(number)}"
    return f"{plain(number)} {noun_for(1 if number == 1 else 2, *unit.value)}"


def _duration_text(seconds: Decimal) -> str:
    """Return seconds in units that are easy to read: 0.2 s, 119 s, 28 min, 29 min 59 s, 26 h 5 min."""
    tenths = round(seconds, 1)
    if abs(tenths) < ALONE_S:
        return f"{tenths + 0:f}".removesuffix(".0") + " s"
    whole = round(abs(seconds))
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return ("-" if seconds < 0 else "") + " ".join(f"{count:,} {unit}" for count, unit in parts if count)


def off_by(observed: object, limit: object, of: "tuple[Unit, Unit]") -> str:
    """Return how far a number was from its limit; empty if either isn't a number, or both are zero.

    The gap between rates is in percentage points, and the gap from a limit of zero in its own unit. All other gaps are
    percentages of the limit.
    """
    from tradebot.model.reason_codes import Unit

    number, most = _number(observed), _number(limit)
    if number is None or most is None:
        return ""
    gap = abs(number - most)
    if of == (Unit.SHARE_OF_WHOLE, Unit.SHARE_OF_WHOLE):
        return "under 0.01 points" if 0 < gap < Decimal("0.0001") else f"{gap * 100:,.2f} points"
    if not most:
        return format_with_unit(gap, of[0]) if gap else ""
    distance = gap / abs(most)
    return "under 1%" if 0 < distance < Decimal("0.01") else f"{distance:.0%}"


def _number(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def slippage_sentences(totals: "Sequence[TotalSlippage]", *, every: bool = False) -> "Iterator[str]":
    """Yield what fills cost compared with the midpoint at decision; with `every`, with the other midpoints too."""
    from tradebot.views.slippage import AT_DECISION

    reference = next((slippage.total for slippage in totals if slippage.against == AT_DECISION), None)
    for total_slippage in totals:
        if total_slippage.of and (every or total_slippage.against == AT_DECISION):
            yield _slippage(total_slippage)
        if total_slippage.of and every and total_slippage.against != AT_DECISION and total_slippage.total and reference:
            usd = total_slippage.total.usd - reference.usd
            yield f"  difference from the slippage at {AT_DECISION}: {usd:+,.2f} USD"


def _slippage(total: "TotalSlippage") -> str:
    what = f"Slippage against the midpoint at {total.against}"
    if total.total is None:
        return f"{what}: not known for any fill"
    counted = f"{total.known:,} of {pluralize(total.of, 'fill')}"
    age = "" if total.oldest_quote_s is None else f"; the oldest quote was {total.oldest_quote_s:.0f} s old"
    amount = f"{total.total.usd:+,.2f} USD, {total.total.bps:+.1f} bps (costs are positive)"
    return f"{what}: {amount}, over {counted}, without those of stops and targets at the broker{age}"


def show_margin(console: "Console", margin: "AccountMargin | None", most: int | None = None) -> None:
    """Print the margin of a margin account, and its `most` nearest liquidations (None for all of them)."""
    if margin is None:
        return
    parts = (
        f"{_part(margin.initial_usd, margin.initial_fraction)} in use",
        f"{_part(margin.maintenance_usd, margin.maintenance_fraction)} to keep the positions",
        f"{_usd(margin.available_usd)} available",
    )
    console.print(f"Margin {', '.join(parts)}, at {when(margin.at)}", markup=False)
    nearest = "; ".join(_liquidation(liquidation) for liquidation in margin.liquidations[:most])
    if nearest and None in (margin.initial_usd, margin.maintenance_usd):
        # With isolated margin, the venue liquidates earlier than at the prices that the whole account would give.
        console.print("  liquidated by the broker: at unknown prices, because the margin is unknown", markup=False)
    elif nearest:
        console.print(f"  liquidated by the broker: {nearest}", markup=False)


def show_funding(console: "Console", funding: "Sequence[FundingSoFar]") -> None:
    """Print the funding paid and received so far, if the books have any."""
    if not funding:
        return
    total = sum((far.amount_usd for far in funding), Decimal(0))
    each = ", ".join(f"{clean(far.symbol)} {far.amount_usd:+,.2f}" for far in funding)
    console.print(f"Funding so far {total:+,.2f} USD: {each}", markup=False)


def _part(amount: Decimal | None, fraction: Decimal | None) -> str:
    return _usd(amount) if fraction is None else f"{_usd(amount)} ({fraction:.2%} of equity)"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f} USD"


def _liquidation(event: "Liquidation") -> str:
    mark = "" if event.mark is None else f" (mark {usd(event.mark, event.symbol)})"
    if event.price is None:
        return f"{clean(event.symbol)} has no liquidation price of its own{mark}"
    return f"{clean(event.symbol)} at {usd(event.price, event.symbol)}, {event.distance:.2%} away{mark}"
