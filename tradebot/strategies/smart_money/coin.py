"""What the strategy knows of one coin at one moment, read from closed bars of its spot pair."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from msgspec import Struct

from tradebot.model.bar import Quote
from tradebot.model.costs import CostModel
from tradebot.model.position import RoundTrip
from tradebot.model.series import Series
from tradebot.signals.structures.bars import Hole
from tradebot.signals.structures.comparing import exact
from tradebot.signals.structures.fibonacci import FibonacciRange
from tradebot.signals.structures.indicators import atr, directional, ema
from tradebot.signals.structures.structures import Structures
from tradebot.strategies.smart_money.scoring import Lean
from tradebot.strategies.smart_money.settings import BiasSettings, SmartMoneySettings, WeeklySettings


class Bias(Struct, frozen=True):
    """Which way the daily bars lean: +1, -1, or 0 within the band; `distance` is the close from its average, as a
    fraction of the average.
    """

    direction: int
    distance: float

    def lean(self, direction: int) -> Lean:
        """Return how a side stands to it."""
        if not self.direction:
            return Lean.NEUTRAL
        return Lean.ALIGNED if self.direction == direction else Lean.COUNTER


class Past(Struct, frozen=True):
    """What the strategy itself did in the coin: when it entered last, and its closed trades, oldest first."""

    entered_at: datetime | None
    trades: Sequence[RoundTrip]


class Coin(Struct, frozen=True):
    """One coin. `price` is the close of the newest 15-minute bar in USD, `atr` that of the structure's bars in USD.
    `holes` are where these bars are missing.

    `strength` is the ADX of the hourly bars. `swing_highs` and `swing_lows` are prices of hourly swings, and `weeks`
    is the range of the last weeks, or None if it isn't asked for. `quote` is the perpetual's, and
    `costs` what trades are assumed to cost, None if nothing is.
    """

    symbol: str
    now: datetime
    price: float
    bias: Bias
    bars: Series
    holes: Sequence[Hole]
    structures: Structures
    atr: float
    strength: float | None
    swing_highs: Sequence[float]
    swing_lows: Sequence[float]
    weeks: FibonacciRange | None
    quote: Quote | None
    costs: CostModel | None
    past: Past

    def order_price(self, sign: int) -> Decimal:
        """Return the price at which an order on a side would go out now, in the spot pair's prices.

        That is the perpetual's ask or bid without its premium, or the newest close without a quote.
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
    """Return the range of the last weeks, the running one included; weeks begin on Mondays in UTC."""
    weeks = [(max(highs), min(lows)) for highs, lows in _weeks(days)]
    last = weeks[-rules.weeks :]
    return FibonacciRange(exact(min(low for _, low in last)), exact(max(high for high, _ in last)))


def _weeks(days: Series) -> Iterator[tuple[Sequence[float], Sequence[float]]]:
    for _, places in groupby(range(len(days)), lambda place: _week(days.starts[place])):
        held = list(places)
        yield [days.high[place] for place in held], [days.low[place] for place in held]


def _week(start_s: int) -> tuple[int, int]:
    year, week, _ = datetime.fromtimestamp(start_s, UTC).isocalendar()
    return year, week


def recent(trades: Iterable[RoundTrip], now: datetime, within_s: int, loss_fraction: float) -> list[RoundTrip]:
    """Return the trades that closed lately with at least such a loss, as a fraction of what they cost."""
    since = now - timedelta(seconds=within_s)
    return [trade for trade in trades if trade.closed_at >= since and loss_of(trade) >= loss_fraction]


def loss_of(trade: RoundTrip) -> float:
    """Return a trade's loss as a fraction of what it cost; negative for a gain."""
    return float(-trade.profit / trade.cost) if trade.cost else 0.0
