"""Averages, ranges and directional movement over closed bars, as whole columns: one value a bar, oldest first.

Each has two kinds of smoothing. `ema` starts with the first value. `wilder` starts as TA-Lib does: the first bar has
neither a true range nor a movement, and averages start with the mean of the first n values. The two differ a lot, so
thresholds belong to one of them.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from statistics import fmean, pstdev
from typing import NamedTuple

from tradebot.model.series import Series
from tradebot.signals.structures.bars import larger

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
    """Return the exponential average of a column, which starts with its first value.

    a = 2 / (length + 1), y = y + a(x - y). After k more bars, the first value still weighs (1 - a)^k.
    """
    if not values:
        return []
    weight, average = 2 / (length + 1), values[0]
    return [average := average + weight * (value - average) for value in values]


def rsi(values: Sequence[float], length: int) -> Column:
    """Return Wilder's relative strength index, between 0 and 100, known from bar `length` + 1 on, as TA-Lib has it.

    It is 100 up / (up + down), with the averages of gains and losses. Where nothing has moved it is 50, and not the 0
    of TA-Lib, which would stand for a fall.
    """
    changes = [now - before for before, now in pairwise(values)]
    gains, losses = ([max(sign * change, 0.0) for change in changes] for sign in (1, -1))
    column: Column = [None] * min(length, len(values))
    up, down = (sum(moved[:length]) / length for moved in (gains, losses))
    for place in range(length - 1, len(changes)):
        if place >= length:
            up, down = ((mean * (length - 1) + moved[place]) / length for mean, moved in ((up, gains), (down, losses)))
        column.append(100 * up / (up + down) if up + down else 50.0)
    return column


def zscore(values: Sequence[float], length: int) -> float:
    """Return how many deviations the last value is from the mean of the last `length` ones; 0 if none deviates."""
    last = values[-length:]
    deviation = pstdev(last)
    return (last[-1] - fmean(last)) / deviation if deviation else 0.0


def true_ranges(series: Series) -> list[float]:
    """Return each bar's true range: the largest of h - l, |h - c'| and |l - c'|; for the first bar h - l."""
    before = [*series.open[:1], *series.close[:-1]]
    if before:
        # Within the first bar's own range, this adds nothing to it.
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
    """Return how far each bar went above the bar before it and how far below it, only the larger of the two."""
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
    """Return Wilder's average: the mean of the `length` values from place `first`, then (y(length - 1) + x) / length.

    Every value from that place on must be known.
    """
    known = [value for value in values[first:] if value is not None]
    if len(known) < length:
        return [None] * len(values)
    average = start = sum(known[:length]) / length
    later = [average := (average * (length - 1) + value) / length for value in known[length:]]
    return [*[None] * (len(values) - len(later) - 1), start, *later]


def _wilder_sum(values: Sequence[float], length: int) -> Column:
    """Return Wilder's running sum: bars 1 to length - 1 are added up, and from then on S = S - S / length + x."""
    total = sum(values[1:length])
    sums = [total := total - total / length + value for value in values[length:]]
    return [*[None] * min(length, len(values)), *sums]
