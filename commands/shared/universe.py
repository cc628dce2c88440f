"""Symbols of the universe, as a person types them."""

from commands.shared.plain import did_you_mean
from tradebot.app.venues import EARLIER, Door, door_to
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word


def symbol_named(door: "Door", text: str) -> str:
    """Return a venue's symbol for what a person typed; raise OperatorError if that could mean several things."""
    try:
        return door.symbol(text)
    except ValueError as unclear:
        raise OperatorError(str(unclear), "all symbols: tradebot config show universe") from unclear


def symbols_at(venue: str | None, text: str) -> list[str]:
    """Return the same for names with commas, at a venue of this name.

    An unknown venue is reported when the configuration is loaded.
    """
    names = [name for name in text.split(",") if name.strip()]
    try:
        door = door_to(venue or EARLIER)
    except ValueError:
        return [name.strip().upper() for name in names]
    return [symbol_named(door, name) for name in names]


def in_universe(app: "App", symbol: str) -> str:
    """Return a symbol as the universe spells it; otherwise raise OperatorError naming the closest ones."""
    name, universe = symbol_named(app.door, symbol), app.rules.universe
    if name not in universe:
        meant = did_you_mean(name, universe)
        listed = "all symbols: tradebot config show universe"
        raise OperatorError(f"{word(name)} is not in the universe", f"{meant} {listed}".strip())
    return name
