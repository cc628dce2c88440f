"""Symbols of the universe, as a person types them."""

from collections.abc import Iterable
from contextlib import suppress

from commands.shared.light_helpers import did_you_mean
from tradebot.app.venues import EARLIER, driver_for
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.venues.door import VenueDriver


def symbol_named(driver: "VenueDriver", text: str) -> str:
    """Return a venue's symbol for a typed name; raise OperatorError if it is ambiguous."""
    try:
        return driver.symbol(text)
    except ValueError as unclear:
        raise OperatorError(str(unclear), "all symbols: tradebot config show universe") from unclear


def symbols_at(venue: str | None, text: str) -> list[str]:
    """Return the symbols for comma-separated names, at a venue of this name.

    An unknown venue is reported when the configuration is loaded.
    """
    names = [name for name in text.split(",") if name.strip()]
    try:
        driver = driver_for(venue or EARLIER)
    except ValueError:
        return [name.strip().upper() for name in names]
    return [_root_named(driver, name) or symbol_named(driver, name) for name in names]


def _root_named(driver: "VenueDriver", text: str) -> str:
    """Return the root that a person typed, as a universe spells it; empty for anything else."""
    try:
        driver.symbol(text)
    except ValueError:
        with suppress(ValueError):
            return driver.coin(text) if driver.months else ""
    return ""


def contract_named(driver: "VenueDriver", universe: Iterable[str], text: str) -> str:
    """Return the symbol for a typed name; if the name is a root, that is its contract in the universe."""
    root = _root_named(driver, text)
    return next((symbol for symbol in universe if root and root == driver.coin(symbol)), "") or symbol_named(
        driver, text
    )


def in_universe(app: "App", symbol: str) -> str:
    """Return a symbol as the universe spells it; if it isn't there, raise OperatorError with the closest names."""
    universe = app.rules.universe
    name = contract_named(app.driver, universe, symbol)
    if name not in universe:
        meant = did_you_mean(name, universe)
        listed = "all symbols: tradebot config show universe"
        raise OperatorError(f"{word(name)} is not in the universe", f"{meant} {listed}".strip())
    return name
