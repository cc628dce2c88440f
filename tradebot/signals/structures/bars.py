"""Prepare closed bars for reading structures: original or mirrored, and never across a hole.

Prices reach signals as floats. Their order is exact, but a difference of two of them isn't: 100.07 - 100 is less than
0.07. So a comparison is made in floats only if the values are far apart, and in decimals otherwise.

Averages, ranges and directional movement are whole columns: one value per bar, oldest first. Each has two kinds of
smoothing. `ema` starts with the first value. `wilder` starts as TA-Lib does: the first bar has neither a true range nor
a movement, and averages start with the mean of the first n values. The two differ a lot, so a threshold for one doesn't
fit the other.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from statistics import fmean, pstdev
from typing import NamedTuple

from tradebot.model.series import Series, width_of

DAY_S = 86_400


class BarGap(NamedTuple):
    """A gap between two bars of a series: from the end of one to the start of the next, in seconds."""

    from_s: int
    to_s: int


class BarColumns(NamedTuple):
    """The columns of a series. `run` counts, for each bar, the consecutive bars up to it.

    `ends_s` are the moments at which the bars close, in seconds since 1970 UTC.
    """

    starts_s: list[int]
    ends_s: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    run: list[int]

    def mirror(self) -> "BarColumns":
        """Return the same bars with every price negated, so that rules for longs apply to shorts."""
        opens, highs, lows, closes = (
            [-price for price in column] for column in (self.open, self.high, self.low, self.close)
        )
        return self._replace(open=opens, high=lows, low=highs, close=closes)


def seconds_of(timeframe: str) -> int:
    """Return the length of a bar in seconds; a daily bar, in a market that never closes, lasts a day.

    Raise ValueError like `width_of`.
    """
    width = width_of(timeframe)
    return DAY_S if width is None else int(width.total_seconds())


def bars_of(series: Series) -> BarColumns:
    """Return the bars of a series.

    Raise ValueError if bars are out of order or repeated: the bar store has one bar for each start, in order, so this
    would be a programming error.
    """
    width = seconds_of(series.timeframe)
    return BarColumns(
        starts_s=list(series.starts),
        ends_s=[start + width for start in series.starts],
        open=list(series.open),
        high=list(series.high),
        low=list(series.low),
        close=list(series.close),
        run=_runs(series, width),
    )


def holes(series: Series) -> list[BarGap]:
    """Return the holes of a series, oldest first; ValueError if its bars are out of order or repeated.

    The market is assumed to trade around the clock: a closed night or weekend is a hole as well.
    """
    bars = bars_of(series)
    return [BarGap(bars.ends_s[i - 1], bars.starts_s[i]) for i in range(1, len(bars.run)) if bars.run[i] == 1]


def _runs(series: Series, width: int) -> list[int]:
    runs = [1] if series.starts else []
    for sooner, later in pairwise(series.starts):
        if later <= sooner:
            order = "twice" if later == sooner else "after a later one"
            raise ValueError(f"{series.symbol} {series.timeframe}: the bar that starts at {later} s appears {order}")
        runs.append(runs[-1] + 1 if later - sooner == width else 1)
    return runs


NEAR = 1e-9

"""Differences this close to their limit, as a fraction of the price, are computed in decimals."""


def exact(price: float) -> Decimal:
    """Return a price as the decimal number that it was parsed from."""
    return Decimal(repr(price))


def reaches(more: float, less: float, fraction: float, written: Decimal, of: float) -> bool:
    """Return True if `more` - `less` is at least a fraction of the size of `of`.

    `written` is the fraction as a decimal, and `fraction` the same number as a float.
    """
    beyond = more - less - fraction * abs(of)
    if abs(beyond) > NEAR * (abs(more) + abs(of)):
        return beyond > 0
    return exact(more) - exact(less) >= written * abs(exact(of))


def larger(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Return True if the first pair's difference (first minus second) is larger than the second pair's."""
    beyond = (first[0] - first[1]) - (second[0] - second[1])
    if abs(beyond) > NEAR * (abs(first[0]) + abs(second[0])):
        return beyond > 0
    return exact(first[0]) - exact(first[1]) > exact(second[0]) - exact(second[1])


def outranges(high: Sequence[float], low: Sequence[float], multiple: float, written: Decimal) -> bool:
    """Return True if the last bar's range is at least `multiple` times the upper median of all these bars' ranges.

    The upper median of 20 ranges is the 11th smallest. `written` is the multiple as a decimal, and `multiple` the same
    number as a float. A bar without a range outranges nothing.
    """
    middle = len(high) // 2
    ranges = [top - bottom for top, bottom in zip(high, low, strict=True)]
    beyond = ranges[-1] - multiple * sorted(ranges)[middle]
    if abs(beyond) > NEAR * max(map(abs, high)):
        return beyond > 0
    precise = [exact(top) - exact(bottom) for top, bottom in zip(high, low, strict=True)]
    return precise[-1] > 0 and precise[-1] >= written * sorted(precise)[middle]


Column = list[float | None]

"""A value for each bar, and None where it is not yet known."""


Smooth = Callable[[Sequence[float], int], Sequence[float | None]]


class Smoothing(StrEnum):
    """How a column is smoothed."""

    EMA = "ema"
    WILDER = "wilder"


class Directional(NamedTuple):
    """Columns of +DI, -DI, DX and ADX, each between 0 and 100."""

    plus: Column
    minus: Column
    dx: Column
    adx: Column


def ema(values: Sequence[float], length: int) -> list[float]:
    """Return the exponential moving average of a column, starting from its first value.

    a = 2 / (length + 1), y = y + a(x - y). After k more bars, the first value still weighs (1 - a)^k.
    """
    if not values:
        return []
    weight, average = 2 / (length + 1), values[0]
    return [average := average + weight * (value - average) for value in values]


def rsi(values: Sequence[float], length: int) -> Column:
    """Return Wilder's relative strength index, between 0 and 100, known from bar `length` + 1 on, as in TA-Lib.

    It is 100 up / (up + down), with the averages of gains and losses. Without any movement it is 50, unlike TA-Lib's 0,
    which would mean a fall.
    """
    changes = [now - before for before, now in pairwise(values)]
    gains, losses = ([max(sign * change, 0.0) for change in changes] for sign in (1, -1))
    column: Column = [None] * min(length, len(values))
    up, down = (sum(moved[:length]) / length for moved in (gains, losses))
    for index in range(length - 1, len(changes)):
        if index >= length:
            up, down = ((mean * (length - 1) + moved[index]) / length for mean, moved in ((up, gains), (down, losses)))
        column.append(100 * up / (up + down) if up + down else 50.0)
    return column


def zscore(values: Sequence[float], length: int) -> float:
    """Return the last value's distance from the mean of the last `length` values, in standard deviations; 0 if all are
    equal.
    """
    last = values[-length:]
    deviation = pstdev(last)
    return (last[-1] - fmean(last)) / deviation if deviation else 0.0


def true_ranges(series: Series) -> list[float]:
    """Return each bar's true range: the largest of h - l, |h - c'| and |l - c'|; for the first bar h - l."""
    before = [*series.open[:1], *series.close[:-1]]
    if before:
        # Any value within the first bar's own range leaves its true range unchanged.
        before[0] = series.low[0]
    bars = zip(series.high, series.low, before, strict=True)
    return [max(high - low, abs(high - close), abs(low - close)) for high, low, close in bars]


def atr(series: Series, length: int, smoothing: Smoothing) -> Column:
    """Return the average true range: known from the first bar with `ema`, from bar `length` with `wilder`."""
    ranges = true_ranges(series)
    if smoothing is Smoothing.EMA:
        return [*ema(ranges, length)]
    return _wilder_mean(ranges, 1, length)


def directional(series: Series, length: int, smoothing: Smoothing) -> Directional:
    """Return +DI, -DI, DX and ADX (J. W. Wilder, 1978).

    DI = 100 smooth(DM) / smooth(TR), and 0 where no bar has had a range. DX = 100 |+DI - -DI| / (+DI + -DI), and 0 if
    both are 0. ADX = smooth(DX). With `wilder`, DI is known from bar `length` and ADX from bar 2 `length` - 1.
    """
    smooth: Smooth = _wilder_sum if smoothing is Smoothing.WILDER else ema
    ranges = smooth(true_ranges(series), length)
    rises, falls = _movements(series)
    plus, minus = (_percents(smooth(moves, length), ranges) for moves in (rises, falls))
    dx = [None if up is None or down is None else _dx(up, down) for up, down in zip(plus, minus, strict=True)]
    if smoothing is Smoothing.EMA:
        return Directional(plus, minus, dx, [*ema([value for value in dx if value is not None], length)])
    return Directional(plus, minus, dx, _wilder_mean(dx, length, length))


def _movements(series: Series) -> tuple[list[float], list[float]]:
    """Return how far each bar went above the one before it and how far below, keeping only the larger move."""
    high, low = list(series.high), list(series.low)
    rises, falls = [0.0] * len(high), [0.0] * len(high)
    for i in range(1, len(high)):
        up, down = (high[i], high[i - 1]), (low[i - 1], low[i])
        if up[0] > up[1] and larger(up, down):
            rises[i] = up[0] - up[1]
        elif down[0] > down[1] and larger(down, up):
            falls[i] = down[0] - down[1]
    return rises, falls


def _percents(moves: Sequence[float | None], ranges: Sequence[float | None]) -> Column:
    pairs = zip(moves, ranges, strict=True)
    return [None if move is None or total is None else 100 * move / total if total else 0.0 for move, total in pairs]


def _dx(up: float, down: float) -> float:
    return 100 * abs(up - down) / (up + down) if up + down else 0.0


def _wilder_mean(values: Sequence[float | None], first: int, length: int) -> Column:
    """Return Wilder's average: the mean of the `length` values from index `first`, then (y(length - 1) + x) / length.

    Every value from that index on must be known.
    """
    ranges_known = [value for value in values[first:] if value is not None]
    if len(ranges_known) < length:
        return [None] * len(values)
    average = start = sum(ranges_known[:length]) / length
    later = [average := (average * (length - 1) + value) / length for value in ranges_known[length:]]
    return [*[None] * (len(values) - len(later) - 1), start, *later]


def _wilder_sum(values: Sequence[float], length: int) -> Column:
    """Return Wilder's running sum: bars 1 to length - 1 are added up, and from then on S = S - S / length + x."""
    total = sum(values[1:length])
    sums = [total := total - total / length + value for value in values[length:]]
    return [*[None] * min(length, len(values)), *sums]
