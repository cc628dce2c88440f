"""Format what the page shows: moments, prices, and names of a rule's parts; all of it is text."""

from __future__ import annotations

from decimal import Decimal

from papervenue.engine.engine import Engine
from papervenue.jsontext import plain
from papervenue.market.instruments import Grid


def moment(engine: Engine, us: int) -> str:
    """Format a moment as a time, with the date unless it is today."""
    at, now = (engine.market.calendar.local(one) for one in (us, engine.now_us))
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at.day} {at:%b %H:%M:%S}"


def exact_moment(engine: Engine, us: int) -> str:
    """Format a moment to the microsecond if it isn't a whole second."""
    part = us % 1_000_000
    return moment(engine, us) + (f".{part:06}".rstrip("0") if part else "")


def text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def price(grid: Grid, units: int | None) -> str | None:
    return None if units is None else plain(grid.usd(units))


def worded(written: object) -> str:
    """Format a part of a rule for people: names and values without braces."""
    if isinstance(written, dict):
        return ", ".join(f"{name} {worded(value)}".replace("_", " ") for name, value in written.items())
    if isinstance(written, list):
        return " or ".join(map(worded, written))
    return str(written).replace("_", " ")
