"""Read a coin from what the strategy sees: its bars, its quote, and what the strategy did in it before."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeVar

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.series import DAY, PriceKind, Series, SeriesKey
from tradebot.model.view import StrategyView
from tradebot.signals.structures.bars import Hole, holes
from tradebot.signals.structures.structures import Extreme, Structures, Swing, structures, swings
from tradebot.strategies.smart_money.coin import Bias, Coin, Past, atr_of, bias, strength_of, week_range
from tradebot.strategies.smart_money.settings import SmartMoneySettings

HOUR, QUARTER, SWINGS = "1Hour", "15Min", 50
T = TypeVar("T")


class Readings:
    """What was read from each series with the same settings; it is read again only once the series is another one.

    A strategy is asked every few minutes, and most of its bars last for hours. Its answers don't depend on this: the
    same bars give the same reading.
    """

    def __init__(self, rules: SmartMoneySettings) -> None:
        self.rules = rules
        self._known: dict[tuple[SeriesKey, str], tuple[Series, Any]] = {}

    def of(self, series: Series, read: Callable[[Series, SmartMoneySettings], T]) -> T:
        """Return what a function reads from a series."""
        place = series.key, read.__name__
        known = self._known.get(place)
        if known is None or (known[0] is not series and known[0] != series):
            known = self._known[place] = series, read(series, self.rules)
        found: T = known[1]
        return found


def disorder_of(view: StrategyView, symbol: str, readings: Readings) -> Decision | None:
    """Return why nothing can be read from a coin's bars: in one of its series they aren't in order, each there once."""
    for timeframe in (DAY, HOUR, QUARTER, readings.rules.structure.timeframe):
        found = readings.of(view.bars(symbol, timeframe, price=PriceKind.SPOT), _disorder)
        if found is not None:
            what = f"{timeframe} from {datetime.fromtimestamp(found, UTC):%Y-%m-%d %H:%M}"
            return Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.BARS_OUT_OF_ORDER, what, about="data")
    return None


def coin_of(view: StrategyView, symbol: str, readings: Readings) -> Coin:
    """Return what is known of a coin of the view's universe whose bars are in order."""
    rules = readings.rules
    days, hours, quarters, bars = (
        view.bars(symbol, timeframe, price=PriceKind.SPOT)
        for timeframe in (DAY, HOUR, QUARTER, rules.structure.timeframe)
    )
    turned = readings.of(hours, _swings)
    return Coin(
        symbol=symbol,
        now=view.now,
        price=quarters.close[-1],
        bias=readings.of(days, _bias),
        bars=bars,
        holes=readings.of(bars, _holes),
        structures=readings.of(bars, _structures),
        atr=readings.of(bars, atr_of) or 0.0,
        strength=readings.of(hours, strength_of),
        swing_highs=[swing.price for swing in turned if swing.extreme is Extreme.HIGH],
        swing_lows=[swing.price for swing in turned if swing.extreme is Extreme.LOW],
        weeks=None if rules.weekly.rule == "off" else week_range(days, rules.weekly),
        quote=view.quotes.get(symbol),
        costs=view.costs,
        past=past_of(view, symbol),
    )


def _disorder(bars: Series, rules: SmartMoneySettings) -> int | None:
    """Return when the first bar begins that isn't later than the one before it, in seconds since 1970."""
    return next((later for sooner, later in pairwise(bars.starts) if later <= sooner), None)


def _swings(hours: Series, rules: SmartMoneySettings) -> Sequence[Swing]:
    return swings(hours.last(SWINGS))


def _bias(days: Series, rules: SmartMoneySettings) -> Bias:
    return bias(days.close, rules.bias)


def _holes(bars: Series, rules: SmartMoneySettings) -> Sequence[Hole]:
    return holes(bars)


def _structures(bars: Series, rules: SmartMoneySettings) -> Structures:
    return structures(bars, rules.structure.numbers)


def past_of(view: StrategyView, symbol: str) -> Past:
    """Return when the strategy entered a coin last, and its closed trades in it."""
    trades = view.trades.get(symbol, ())
    lot: Position | None = view.lots.get(symbol)
    entered = [trade.opened_at for trade in trades] + ([lot.opened_at] if lot else [])
    return Past(max(entered, default=None), trades)
