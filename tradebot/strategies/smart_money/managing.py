"""Close what has lost its reason: the daily bars lean the other way, or a bar closed beyond the invalid price.

These are the strategy's own exits, besides the rules that the configuration lists. Trades, positions and notices name
them as they name rules: `premise_gone`, with how far the daily close is from its average, and `thesis_gone`, with how
far the bar closed beyond the invalid price; below zero is against the position.
"""

from collections.abc import Iterator
from decimal import Decimal

from tradebot.exits.why import compose, measured
from tradebot.model.position import Kept, Position
from tradebot.model.reason_codes import Unit
from tradebot.model.series import DAY, PriceKind, Series, width_of
from tradebot.model.view import Close, StrategyView
from tradebot.signals.structures.comparing import exact
from tradebot.strategies.smart_money.coin import bias
from tradebot.strategies.smart_money.reading import Readings, disorder_of

PREMISE_GONE, THESIS_GONE = "premise_gone", "thesis_gone"


def closes(view: StrategyView, readings: Readings) -> list[Close]:
    """Return the closes of held positions whose reason is gone; without its bars, a position is left to its exits."""
    return [Close(symbol, why) for symbol, lot in view.lots.items() for why in _why(view, symbol, lot, readings)]


def _why(view: StrategyView, symbol: str, lot: Position, readings: Readings) -> Iterator[str]:
    """Yield why a position has to go, if it has to: one reason at most."""
    settings = readings.rules
    if symbol not in view.universe or disorder_of(view, symbol, readings):
        return
    direction = 1 if lot.quantity > 0 else -1
    found = bias(view.bars(symbol, DAY, price=PriceKind.SPOT).close, settings.bias)
    if found.direction == -direction:
        yield _named(PREMISE_GONE, found.distance * direction)
        return
    kept, bars = view.kept.get(symbol), view.bars(symbol, settings.structure.timeframe, price=PriceKind.SPOT)
    beyond = None if kept is None else _beyond(lot, direction, kept, bars)
    if beyond is not None and beyond < 0:
        yield _named(THESIS_GONE, beyond)


def _named(name: str, distance: Decimal | float) -> str:
    return compose((measured(name, distance, Unit.SHARE_OF_WHOLE),))


def _beyond(lot: Position, direction: int, kept: Kept, bars: Series) -> Decimal | None:
    """Return how far the newest bar that closed since the entry is from the invalid price, as a fraction of that.

    It is below zero beyond that price, and None if no bar has closed since.
    """
    width = width_of(bars.timeframe)
    if kept.invalid_fraction is None or width is None or bars.start_of(-1) + width <= lot.opened_at:
        return None
    invalid = lot.average_price * (1 - direction * kept.invalid_fraction)
    return direction * (exact(bars.close[-1]) - invalid) / invalid
