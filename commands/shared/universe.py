"""Symbols of the universe, as a person types them."""

from commands.shared.plain import did_you_mean
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word


def in_universe(app: "App", symbol: str) -> str:
    """Return a symbol as the universe spells it; otherwise raise OperatorError naming the closest ones."""
    name, universe = symbol.strip().upper(), app.settings.universe
    if name not in universe:
        meant = did_you_mean(name, universe)
        listed = "all symbols: tradebot config show universe"
        raise OperatorError(f"{word(name)} is not in the universe", f"{meant} {listed}".strip())
    return name
