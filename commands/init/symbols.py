"""The universe that a new bot begins with, by a number of symbols or by their names."""

from typing import Any

from commands.init.market_notes import MOST_SYMBOLS
from commands.init.profiles import SHIPPED_PROFILE, begins_with
from commands.shared.light_helpers import clean
from tradebot.errors import OperatorError

WELL_KNOWN = 21
"""How many of the embedded exchange's default symbols are real tickers; the rest are made up."""
MADE_UP_SECTORS = 10


def symbol_flags(
    text: str | None, venue: str | None = None, profile: str = SHIPPED_PROFILE, config: str | None = None
) -> dict[str, Any]:
    """Return the universe for a number of symbols or a list of names; empty if neither was given.

    The symbols of another venue than the usual one are the first ones of its own list. Without a venue, it is that of
    the profile or the file.
    """
    from tradebot.app.settings import venue_flags

    if text is None:
        return {}
    content = begins_with(profile, config)
    sections = content.get("strategies")
    off = {name for name, section in sections.items() if section is None} if isinstance(sections, dict) else set()
    venue = venue or content.get("venue")
    if not (text.isascii() and text.isdigit()):
        from commands.shared.universe import symbols_at

        named = symbols_at(venue, text)
        return (venue_flags(venue, named, off) if venue else {}) or {"universe": named}
    if len(text) > len(str(MOST_SYMBOLS)) or not 1 <= int(text) <= MOST_SYMBOLS:
        raise OperatorError(f"--symbols takes 1 to {MOST_SYMBOLS:,} symbols, not {clean(text)[:20]}", "--symbols 20")
    if venue and (smaller := venue_flags(venue, int(text), off)):
        return smaller
    from tradebot.app import sandbox

    names = sandbox.default_symbols(int(text))
    # Made-up symbols get made-up sectors, because a symbol without a sector is not bought.
    sectors = {name: f"made_up_{n % MADE_UP_SECTORS}" for n, name in enumerate(names[WELL_KNOWN:])}
    return {"universe": list(names), "sectors": sectors}
