"""Frames: which session each bar belongs to, what isn't taken, and nothing of another contract's prices.

The version of a feature changes with its values, so that no model is shown others than it was trained on.
"""

import json
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from math import nan

import numpy as np
import pytest

from tests.kit.signals.series import BARS_A_SESSION, ENOUGH, HOUR_S, first, hourly_series, hours, walked
from tests.signals.features.versions import KEPT, values_now
from tradebot.adapters.bars.roll_adjusted import join_over_rolls
from tradebot.model.series import DAY, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.signals.features import columns, features, frame_of
from tradebot.signals.features.frame import NOWHERE
from tradebot.venues.ibkr.capabilities import IBKR
from tradebot.venues.ibkr.contracts import months_of, root_of

ROLL = date(2026, 12, 8)
"""When ESH7 takes the place of ESZ6."""
RATIO = 1.25


def test_each_bar_has_the_session_that_it_starts_in() -> None:
    sessions = hours(3)
    series = hourly_series(walked(1, 30), sessions)
    frame = frame_of(series, sessions[1:], (date(2026, 12, 8),))
    assert set(frame.opens[:BARS_A_SESSION]) == set(frame.days[:BARS_A_SESSION]) == {NOWHERE}
    assert set(frame.opens[BARS_A_SESSION:]) == {int(sessions[1].open.timestamp())}
    assert set(frame.closes[BARS_A_SESSION:]) == {int(sessions[1].close.timestamp())}
    assert set(frame.days[BARS_A_SESSION:]) == {sessions[1].date.toordinal()}
    assert (frame.width_s, frame.rolls) == (HOUR_S, (date(2026, 12, 8).toordinal(),))


def test_raw_bars_and_disordered_ones_are_refused() -> None:
    series = hourly_series(walked(1, 5), hours(1))
    with pytest.raises(ValueError, match="adjusted bars"):
        frame_of(replace(series, adjusted=False), ())
    starts = array("q", [*series.starts[:3], series.starts[1], series.starts[4]])
    with pytest.raises(ValueError, match="out of order or duplicated"):
        frame_of(replace(series, starts=starts), ())


def test_bars_that_cannot_be_used_divide_the_others_into_runs() -> None:
    rows = walked(2, 9)
    rows[0] = (1.0, 0.5, 0.4, 0.5, 1.0)
    rows[4] = (1.0, 1.0, float("nan"), 1.0, 1.0)
    rows[5] = (1.0, 1.0, 1.0, 1.0, -1.0)
    assert frame_of(hourly_series(rows, hours(1)), ()).runs() == [(1, 4), (6, 9)]


class Contracts:
    """Hourly bars of two months of one root, and the days that they make.

    They are cut from a continuous series: the older month has prices of its own, and the newer one has been traded for
    a few days only when it takes the other's place.
    """

    def __init__(self, continuous: Series) -> None:
        older = _with_prices(continuous, [[one / RATIO for one in column] for column in _prices(continuous)])
        begun = bisect_right(continuous.starts, IBKR.day.begins_s(ROLL - timedelta(days=4)))
        newer = continuous.last(len(continuous) - begun)
        self.hourly = {"ESZ6": replace(older, symbol="ESZ6"), "ESH7": replace(newer, symbol="ESH7")}

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        found = {}
        for symbol in symbols:
            if symbol not in self.hourly:
                continue
            series = self.hourly[symbol]
            ended = bisect_right(series.starts, until.timestamp() - HOUR_S)
            found[symbol] = self._days(symbol, until) if need.timeframe == DAY else first(series, ended)
        return found

    def _days(self, symbol: str, until: datetime) -> Series:
        series, last = self.hourly[symbol], dict[date, float]()
        for start, close in zip(series.starts, series.close, strict=True):
            day = IBKR.day.date_of(datetime.fromtimestamp(start, until.tzinfo))
            if day < IBKR.day.date_of(until):
                last[day] = close
        starts = array("q", [IBKR.day.begins_s(day) for day in last])
        closes = array("d", last.values())
        volume = array("d", [9.0 if symbol == "ESZ6" else 1.0] * len(last))
        return Series(symbol, DAY, False, starts, closes, closes, closes, closes, volume)


def _unjoined(old: Series, new: Series) -> Series:
    """Return the bars of one contract, and then those of the next at their own prices."""
    before = len(old) - len(new)
    both = zip(_prices(old), _prices(new), strict=True)
    return _with_prices(old, [[*one[:before], *other] for one, other in both])


def _prices(series: Series) -> "tuple[array[float], ...]":
    return series.open, series.high, series.low, series.close


def _with_prices(series: Series, prices: Sequence[Sequence[float]]) -> Series:
    opens, highs, lows, closes = (array("d", column) for column in prices)
    return replace(series, open=opens, high=highs, low=lows, close=closes)


def test_features_over_a_roll_are_those_of_the_continuous_series() -> None:
    sessions = hours(40, date(2026, 11, 9))
    continuous = hourly_series(walked(7), sessions)
    source = Contracts(continuous)
    until = datetime.fromtimestamp(continuous.starts[-1] + HOUR_S, sessions[0].open.tzinfo)
    assert IBKR.day.date_of(until) > ROLL
    bars, need = (
        join_over_rolls(source, months_of, lambda symbol: root_of(symbol).name, IBKR.day),
        BarNeed("1Hour", ENOUGH),
    )
    found = bars.closed(need, ["ESH7"], until)["ESH7"]
    old, new = (source.hourly[symbol] for symbol in ("ESZ6", "ESH7"))
    assert len(found) == ENOUGH > len(new) > 50
    over, expected = (columns(frame_of(each, sessions), features()) for each in (found, continuous))
    unjoined = columns(frame_of(_unjoined(old, new), sessions), ["from_sma_200", "return_78"])
    assert not any(np.allclose(column, expected[name], equal_nan=True) for name, column in unjoined.items())
    for name, column in expected.items():
        assert np.allclose(over[name], column, rtol=1e-6, atol=1e-9, equal_nan=True), name


ADVICE = "raise the feature's version in its row, then run .venv/bin/python -m tests.signals.features.versions"


def told(values: Sequence[float | None]) -> list[float]:
    return [nan if value is None else value for value in values]


def test_values_of_each_feature_are_those_of_its_version() -> None:
    kept, now = json.loads(KEPT.read_text()), values_now()
    assert kept.keys() == now.keys() == features().keys()
    for name, values in now.items():
        version, *before = kept[name]
        assert features()[name].version == version, f"{name}: {ADVICE}"
        assert told(values) == pytest.approx(told(before), rel=1e-7, abs=1e-9, nan_ok=True), f"{name}: {ADVICE}"
