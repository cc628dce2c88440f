"""Close what has lost its reason: the daily bars lean the other way, or a bar closed beyond the invalid price."""

from collections.abc import Iterator

from tradebot.model.position import Kept, Position
from tradebot.model.series import DAY, PriceKind, Series, width_of
from tradebot.model.view import Close, StrategyView
from tradebot.signals.structures.comparing import exact
from tradebot.strategies.smart_money.coin import bias
from tradebot.strategies.smart_money.reading import disorder_of
from tradebot.strategies.smart_money.settings import SmartMoneySettings

PREMISE_GONE = "the daily bars lean the other way now"
THESIS_GONE = "a bar closed beyond the price at which the setup is invalid"


def closes(view: StrategyView, settings: SmartMoneySettings) -> list[Close]:
    """Return the closes of held positions whose reason is gone; without its bars, a position is left to its exits."""
    return [Close(symbol, why) for symbol, lot in view.lots.items() for why in _why(view, symbol, lot, settings)]


def _why(view: StrategyView, symbol: str, lot: Position, settings: SmartMoneySettings) -> Iterator[str]:
    """Yield why a position has to go, if it has to: one reason at most."""
    if symbol not in view.universe or disorder_of(view, symbol, settings):
        return
    direction = 1 if lot.quantity > 0 else -1
    found = bias(view.bars(symbol, DAY, price=PriceKind.SPOT).close, settings.bias)
    if found.direction == -direction:
        yield PREMISE_GONE
        return
    kept, bars = view.kept.get(symbol), view.bars(symbol, settings.structure.timeframe, price=PriceKind.SPOT)
    if kept is not None and _is_beyond(lot, direction, kept, bars):
        yield THESIS_GONE


def _is_beyond(lot: Position, direction: int, kept: Kept, bars: Series) -> bool:
    """Return True if the newest bar that closed since the entry did so beyond the invalid price."""
    width = width_of(bars.timeframe)
    if kept.invalid_fraction is None or width is None or bars.start_of(-1) + width <= lot.opened_at:
        return False
    invalid = lot.average_price * (1 - direction * kept.invalid_fraction)
    return direction * (exact(bars.close[-1]) - invalid) < 0
