"""What each feature is at one bar, worked out from its definition with plain numbers, slowly and by other means."""

from collections.abc import Callable, Mapping
from datetime import date
from itertools import pairwise
from math import cos, log, pi, sin, sqrt
from operator import methodcaller
from statistics import correlation, fmean, pstdev

from tests.kit.signals.series import HOUR_S
from tradebot.signals.features.frame import Frame


class Plain:
    """One bar of a frame and those before it."""

    def __init__(self, frame: Frame, place: int) -> None:
        self.frame, end = frame, place + 1
        columns = frame.open, frame.high, frame.low, frame.close, frame.volume
        self.o, self.h, self.l, self.c, self.v = ([float(one) for one in column[:end]] for column in columns)
        self.begun = int((frame.opens[:end] != frame.opens[place]).sum())
        self.place = place

    def returns(self, bars: int, count: int) -> list[float]:
        ends = range(self.place - count + 1, self.place + 1)
        return [log(self.c[end] / self.c[end - bars]) for end in ends]

    def scaled(self, bars: int) -> float:
        moved = self.returns(bars, 390)
        return moved[-1] / pstdev(moved)

    def sma(self, length: int, ago: int = 0) -> float:
        return fmean(self.c[len(self.c) - ago - length : len(self.c) - ago])

    def from_sma(self, length: int) -> float:
        return self.in_range(self.c[-1] - self.sma(length))

    def slope(self, length: int) -> float:
        return self.in_range(self.sma(length) - self.sma(length, 5))

    def atr(self, ago: int = 0) -> float:
        """Return Wilder's average of 14, from the first bar on."""
        before = list(zip(self.h[1:], self.l[1:], self.c, strict=False))[: len(self.c) - 1 - ago]
        ranges = [max(high, close) - min(low, close) for high, low, close in before]
        average = fmean(ranges[:14])
        for one in ranges[14:]:
            average = (13 * average + one) / 14
        return average

    def in_range(self, value: float) -> float:
        return value / self.atr()

    def relative_range(self, ago: int) -> float:
        return self.atr(ago) / self.c[-1 - ago]

    def width(self, ago: int) -> float:
        closes = self.c[len(self.c) - ago - 20 : len(self.c) - ago]
        return 4 * pstdev(closes) / fmean(closes)

    def middle(self, length: int) -> float:
        return (max(self.h[-length:]) + min(self.l[-length:])) / 2

    def efficiency(self, length: int) -> float:
        last = self.c[-length - 1 :]
        return abs(last[-1] - last[0]) / sum(abs(b - a) for a, b in pairwise(last))

    def skew(self) -> float:
        moved = self.returns(1, 78)
        return fmean(((one - fmean(moved)) / pstdev(moved)) ** 3 for one in moved)

    def vwap(self) -> float:
        rows = list(zip(self.h, self.l, self.c, self.v, strict=True))[self.begun :]
        return sum((h + low + c) / 3 * v for h, low, c, v in rows) / sum(row[3] for row in rows)

    def usual_volume(self) -> float:
        bar = (self.frame.starts - self.frame.opens)[: self.place]
        same = [v for v, at in zip(self.v, bar.tolist(), strict=False) if at == self._since_open()]
        return fmean(same[-20:])

    def _since_open(self) -> int:
        return int(self.frame.starts[self.place] - self.frame.opens[self.place])

    def on_balance(self) -> float:
        pairs = zip(self.c[-21:], self.c[-20:], self.v[-20:], strict=False)
        return sum(v * ((b > a) - (b < a)) for a, b, v in pairs) / sum(self.v[-20:])

    def realized(self, count: int) -> float:
        return sqrt(fmean(one * one for one in self.returns(1, count)))

    @property
    def hour(self) -> float:
        return self._since_open() / HOUR_S + 1

    @property
    def weekday(self) -> int:
        return date.fromordinal(int(self.frame.days[self.place])).weekday()

    def to_roll(self) -> float:
        day = int(self.frame.days[self.place])
        return min(roll for roll in self.frame.rolls or () if roll >= day) - day


BY_DEFINITION: Mapping[str, Callable[[Plain], float]] = {
    **{f"return_{bars}": methodcaller("scaled", bars) for bars in (1, 3, 6, 12, 39, 78)},
    **{f"from_sma_{n}": methodcaller("from_sma", n) for n in (10, 20, 50, 200)},
    **{f"slope_sma_{n}": methodcaller("slope", n) for n in (20, 50)},
    "bollinger_place": lambda at: (at.c[-1] - at.sma(20)) / (2 * pstdev(at.c[-20:])),
    "bollinger_width": lambda at: at.width(0) / fmean(map(at.width, range(390))),
    "range_level": lambda at: at.relative_range(0) / fmean(map(at.relative_range, range(390))),
    "from_tenkan_9": lambda at: at.in_range(at.c[-1] - at.middle(9)),
    "from_kijun_26": lambda at: at.in_range(at.c[-1] - at.middle(26)),
    "zscore_20": lambda at: (at.c[-1] - at.sma(20)) / pstdev(at.c[-20:]),
    **{f"efficiency_{n}": methodcaller("efficiency", n) for n in (10, 20)},
    "from_vwap": lambda at: at.in_range(at.c[-1] - at.vwap()),
    "volume_of_bar": lambda at: log(at.v[-1] / at.usual_volume()),
    "volume_high": lambda at: float(at.v[-1] > 1.5 * fmean(at.v[-20:])),
    "obv_20": Plain.on_balance,
    "body": lambda at: (at.c[-1] - at.o[-1]) / (at.h[-1] - at.l[-1]),
    "close_place": lambda at: (at.c[-1] - at.l[-1]) / (at.h[-1] - at.l[-1]),
    "bar_range": lambda at: at.in_range(at.h[-1] - at.l[-1]),
    "open_close_correlation": lambda at: correlation(at.c[-20:], at.o[-20:]),
    "realized_12_78": lambda at: at.realized(12) / at.realized(78),
    "skew_78": Plain.skew,
    "minute_sine": lambda at: sin(2 * pi * at.hour / 23),
    "minute_cosine": lambda at: cos(2 * pi * at.hour / 23),
    "weekday_sine": lambda at: sin(2 * pi * at.weekday / 7),
    "weekday_cosine": lambda at: cos(2 * pi * at.weekday / 7),
    "minutes_left": lambda at: 1 - at.hour / 23,
    "days_to_roll": lambda at: at.to_roll() / 90,
    "from_high": lambda at: at.in_range(max(at.h[at.begun :]) - at.c[-1]),
    "from_low": lambda at: at.in_range(at.c[-1] - min(at.l[at.begun :])),
}
"""The features that no other library judges."""
