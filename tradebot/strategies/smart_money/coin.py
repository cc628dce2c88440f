"""The strategy's inputs for one coin at one moment, read from closed bars of its spot pair."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any, TypeVar

from msgspec import Struct

from tradebot.model.bar import Quote
from tradebot.model.costs import CostModel
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Position, RoundTrip
from tradebot.model.reasons import Reason
from tradebot.model.series import DAY, PriceKind, Series, SeriesKey
from tradebot.model.view import StrategyView
from tradebot.signals.structures.bars import BarGap, atr, directional, ema, exact, holes
from tradebot.signals.structures.structures import Extreme, FibonacciRange, Structures, Swing, structures, swings
from tradebot.strategies.smart_money.scoring import Lean
from tradebot.strategies.smart_money.settings import BiasSettings, SmartMoneySettings, WeeklySettings


class Bias(Struct, frozen=True):
    """The direction of the daily bars: +1, -1, or 0 within the band.

    `distance` is the close's distance from its average, as a fraction of the average.
    """

    direction: int
    distance: float

    def lean(self, direction: int) -> Lean:
        """Return whether a side (+1 or -1) agrees with the bias or opposes it, or that the bias has no direction."""
        if not self.direction:
            return Lean.NEUTRAL
        return Lean.ALIGNED if self.direction == direction else Lean.COUNTER


class CoinHistory(Struct, frozen=True):
    """The strategy's own history in the coin: its last entry, and its closed trades, oldest first."""

    entered_at: datetime | None
    trades: Sequence[RoundTrip]


class CoinInputs(Struct, frozen=True):
    """The inputs of one coin. `price` is the close of the newest 15-minute bar in USD.

    `atr` is the average true range in USD of the bars from which structures are read, and `holes` are the gaps in these
    bars. `strength` is the ADX of the hourly bars. `swing_highs` and `swing_lows` are prices of hourly swings, and
    `weeks` is the range of the last weeks, or None if it isn't used. `quote` is the perpetual's, and `costs` are the
    assumed trading costs, or None.
    """

    symbol: str
    now: datetime
    price: float
    bias: Bias
    bars: Series
    holes: Sequence[BarGap]
    structures: Structures
    atr: float
    strength: float | None
    swing_highs: Sequence[float]
    swing_lows: Sequence[float]
    weeks: FibonacciRange | None
    quote: Quote | None
    costs: CostModel | None
    past: CoinHistory

    def order_price(self, sign: int) -> Decimal:
        """Return the limit price of an order on a side now, in the spot pair's prices.

        That is the perpetual's ask or bid minus its premium, or the newest close without a quote.
        """
        quote = self.quote
        if quote is None:
            return exact(self.price)
        touch = quote.ask if sign > 0 else quote.bid
        return touch if quote.premium is None else touch / (1 + quote.premium)


def bias(closes: Sequence[float], rules: BiasSettings) -> Bias:
    """Compare the newest daily close with its exponential moving average."""
    average = ema(closes, rules.length)[-1]
    distance = closes[-1] / average - 1
    if abs(distance) <= rules.band_fraction:
        return Bias(0, distance)
    return Bias(1 if distance > 0 else -1, distance)


def strength_of(hours: Series, rules: SmartMoneySettings) -> float | None:
    """Return the newest ADX of the hourly bars, or None if they are too few."""
    of = rules.structure
    return directional(hours, of.length, of.smoothing).adx[-1]


def atr_of(bars: Series, rules: SmartMoneySettings) -> float | None:
    """Return the newest ATR in USD, or None if the bars are too few."""
    return atr(bars, rules.structure.length, rules.structure.smoothing)[-1]


def week_range(days: Series, rules: WeeklySettings) -> FibonacciRange:
    """Return the range of the last weeks, including the current one; weeks begin on Mondays in UTC."""
    weeks = [(max(highs), min(lows)) for highs, lows in _weeks(days)]
    last = weeks[-rules.weeks :]
    return FibonacciRange(exact(min(low for _, low in last)), exact(max(high for high, _ in last)))


def _weeks(days: Series) -> Iterator[tuple[Sequence[float], Sequence[float]]]:
    for _, places in groupby(range(len(days)), lambda index: _week(days.starts[index])):
        indices = list(places)
        yield [days.high[index] for index in indices], [days.low[index] for index in indices]


def _week(start_s: int) -> tuple[int, int]:
    year, week, _ = datetime.fromtimestamp(start_s, UTC).isocalendar()
    return year, week


def recent(trades: Iterable[RoundTrip], now: datetime, within_s: int, loss_fraction: float) -> list[RoundTrip]:
    """Return the trades closed within the last `within_s` seconds that lost at least this fraction of their cost."""
    since = now - timedelta(seconds=within_s)
    return [trade for trade in trades if trade.closed_at >= since and loss_of(trade) >= loss_fraction]


def loss_of(trade: RoundTrip) -> float:
    """Return a trade's loss as a fraction of its cost; negative for a gain."""
    return float(-trade.profit / trade.cost) if trade.cost else 0.0


HOUR, QUARTER, SWINGS = "1Hour", "15Min", 50
T = TypeVar("T")


class Readings:
    """Cached readings of each series with the same settings; a series is read again only if it has changed.

    A strategy runs every few minutes, and most of its bars last for hours. The cache doesn't affect its answers: the
    same bars give the same reading.
    """

    def __init__(self, rules: SmartMoneySettings) -> None:
        self.rules = rules
        self._known: dict[tuple[SeriesKey, str], tuple[Series, Any]] = {}
        self._last_inputs: dict[str, tuple[CoinInputs, Any]] = {}

    def of(self, series: Series, read: Callable[[Series, SmartMoneySettings], T]) -> T:
        """Return the result of a function for a series, cached."""
        series_key = series.key, read.__name__
        reading = self._known.get(series_key)
        if reading is None or (reading[0] is not series and reading[0] != series):
            reading = self._known[series_key] = series, read(series, self.rules)
        result: T = reading[1]
        return result

    def of_inputs(self, inputs: CoinInputs, read: Callable[[CoinInputs, SmartMoneySettings], T]) -> T:
        """Return the result of a function for a coin's inputs; computed again only if one of them has changed."""
        last = self._last_inputs.get(inputs.symbol)
        if last is None or last[0] != inputs:
            last = self._last_inputs[inputs.symbol] = inputs, read(inputs, self.rules)
        result: T = last[1]
        return result


def disorder_of(view: StrategyView, symbol: str, readings: Readings) -> Decision | None:
    """Return an UNKNOWN decision if bars in one of a coin's series are out of order or repeated, else None."""
    for timeframe in (DAY, HOUR, QUARTER, readings.rules.structure.timeframe):
        disorder = readings.of(view.bars(symbol, timeframe, price=PriceKind.SPOT), _disorder)
        if disorder is not None:
            what = f"{timeframe} from {datetime.fromtimestamp(disorder, UTC):%Y-%m-%d %H:%M}"
            return Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.BARS_OUT_OF_ORDER, what, about="data")
    return None


def coin_of(view: StrategyView, symbol: str, readings: Readings) -> CoinInputs:
    """Build the inputs of a coin of the view's universe; its bars must be in order."""
    rules = readings.rules
    days, hours, quarters, bars = (
        view.bars(symbol, timeframe, price=PriceKind.SPOT)
        for timeframe in (DAY, HOUR, QUARTER, rules.structure.timeframe)
    )
    turned = readings.of(hours, _swings)
    return CoinInputs(
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
    """Return the start of the first bar that isn't later than the one before it, in seconds since 1970 UTC, or None."""
    return next((later for sooner, later in pairwise(bars.starts) if later <= sooner), None)


def _swings(hours: Series, rules: SmartMoneySettings) -> Sequence[Swing]:
    return swings(hours.last(SWINGS))


def _bias(days: Series, rules: SmartMoneySettings) -> Bias:
    return bias(days.close, rules.bias)


def _holes(bars: Series, rules: SmartMoneySettings) -> Sequence[BarGap]:
    return holes(bars)


def _structures(bars: Series, rules: SmartMoneySettings) -> Structures:
    return structures(bars, rules.structure.numbers)


def past_of(view: StrategyView, symbol: str) -> CoinHistory:
    """Return the strategy's last entry in a coin, and its closed trades in it."""
    trades = view.trades.get(symbol, ())
    lot: Position | None = view.lots.get(symbol)
    entered = [trade.opened_at for trade in trades] + ([lot.opened_at] if lot else [])
    return CoinHistory(max(entered, default=None), trades)
