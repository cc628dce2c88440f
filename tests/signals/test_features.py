"""The features of the market: what they are by definition, and the laws that hold for all of them."""

from collections.abc import Callable, Collection, Mapping
from datetime import date, timedelta
from itertools import pairwise
from math import cos, isfinite, isnan, log, nan, pi, sin, sqrt
from operator import methodcaller
from statistics import correlation, fmean, pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.series import ENOUGH, HOUR_S, BarRow, bare, full, hourly_series, hours, ticks, walked
from tradebot.model.struct_tools import replace
from tradebot.signals.features import OBSERVED, Feature, absence, bars_before, columns, feature_of, features, frame_of
from tradebot.signals.features.frame import Absence, FeatureInputs, Frame, Measures
from tradebot.signals.features.rolling import Column
from tradebot.signals.features.state import STATE

# What each feature is at one bar, worked out from its definition with plain numbers, slowly and by other means.


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


SEEDS = st.integers(0, 2**32)
CALENDAR = {"weekday_sine", "weekday_cosine", "days_to_roll", "release_near", "spread"}
JUDGED = {
    "rsi_14", "rsi_2", "macd", "macd_signal", "macd_difference", "stochastic_k", "stochastic_d", "williams_r", "cci_20",
    "mfi_14", "aroon_25", "adx_14", "directional_14", "from_tema_14",
}  # fmt: skip
"""The features that another library judges: tests/clients/test_indicators.py."""
OF_THE_MOMENT = {"spread", "release_near"} | {name for name in features() if name.startswith("news_")}


def same(one: Column, other: Column) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def changed_later(frame: Frame, cut: int, rows: Collection[Feature]) -> set[str]:
    """Return the features that have another value at some bar once bars, lists and news come after the cut."""
    until = int(frame.starts[cut - 1]) + frame.width_s
    before = frame.part(0, cut)
    lists = tuple(one for one in frame.releases or () if one.known_s <= until)
    told = frame.news and frame.news._replace(
        known_s={each: tuple(at for at in known if at <= until) for each, known in frame.news.known_s.items()}
    )
    before = replace(before, releases=lists, news=told)
    with np.errstate(all="ignore"):
        pairs = ((each.name, each.of(Measures(before)), each.of(Measures(frame))[:cut]) for each in rows)
        return {name for name, sooner, later in pairs if not same(sooner, later)}


def test_the_numbers_of_an_observation_are_complete() -> None:
    numbers = [each.number for each in features().values()]
    assert numbers[:OBSERVED] == [*range(1, 55)]
    assert [each.number for each in STATE] == [*range(55, 61)]
    assert numbers[OBSERVED:] == [*range(61, 66)]
    assert BY_DEFINITION.keys() | JUDGED | OF_THE_MOMENT == features().keys()


def test_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="rsi_14"):
        feature_of("rsi_15")


@pytest.mark.parametrize("name", BY_DEFINITION)
def test_feature_is_what_its_definition_says(name: str) -> None:
    known = 0
    for seed in (2, 5):
        frame = full(seed)
        found = columns(frame, [name])[name]
        for place in (ENOUGH - 1, ENOUGH - 2, ENOUGH - 47):
            if not isnan(found[place]):
                known += 1
                assert found[place] == pytest.approx(BY_DEFINITION[name](Plain(frame, place)), rel=1e-7, abs=1e-9)
    assert known > 3


def test_golden_figures() -> None:
    closes = [101, 102, 101, 103, 105, 104, 102, 101, 99, 100, 103, 106, 108, 107, 110, 109]
    found = columns(bare([(c, c, c, c, 1.0) for c in map(float, closes)]), ["rsi_14", "efficiency_10"])
    assert 50 * (found["rsi_14"][14:] + 1) == pytest.approx([68.0, 65.191740], abs=5e-7)
    assert found["efficiency_10"][-1] == pytest.approx(0.263158, abs=5e-7)
    from tradebot.signals.features.rows.prices import zscores

    of = Measures(bare([(c, c, c, c, 1.0) for c in map(float, closes)]))
    assert zscores(of.close, 10)[-1] == pytest.approx(1.192079, abs=5e-7)
    assert np.exp(of.log_return(5)[-1]) - 1 == pytest.approx(0.058252, abs=5e-7)


@given(SEEDS, st.integers(1, ENOUGH - 1))
def test_no_value_changes_when_bars_are_added(seed: int, cut: int) -> None:
    assert changed_later(full(seed), cut, features().values()) == set()


@pytest.mark.parametrize("tick", [100, 20_000])
def test_what_rounding_makes_of_equal_numbers_is_no_move(tick: int) -> None:
    """Whole ticks add up exactly; as fractions of a dollar, equal sums of them differ in their last digit."""
    rows = [(*prices, float(10 * (place % 3))) for place, prices in enumerate(ticks(5, ENOUGH))]
    names = [name for name, one in features().items() if not one.of_the_moment]
    whole = columns(bare([tuple(map(float, row)) for row in rows]), names)  # type: ignore[misc]
    written = columns(bare([tuple(one / tick for one in row) for row in rows]), names)  # type: ignore[misc]
    for name in names:
        assert np.allclose(whole[name], written[name], rtol=1e-6, atol=1e-6, equal_nan=True), name


def test_features_that_know_the_future_are_found() -> None:
    broken: Mapping[str, Feature] = {
        "next close": replace(feature_of("body"), of=lambda of: np.append(of.close[1:], nan), name="next close"),
        "mean of all": replace(feature_of("body"), of=lambda of: of.close - of.close.mean(), name="mean of all"),
        "centered": replace(
            feature_of("body"), of=lambda of: np.convolve(of.close, [1, 1, 1], "same"), name="centered"
        ),
    }
    assert changed_later(full(3), 400, broken.values()) == broken.keys()


@given(SEEDS)
def test_the_same_bars_a_day_later_give_the_same_values(seed: int) -> None:
    rows, sessions, day = walked(seed), hours(40), timedelta(days=1)
    moved = [replace(one, date=one.date + day, open=one.open + day, close=one.close + day) for one in sessions]
    names = [name for name in features() if name not in CALENDAR]
    today = columns(frame_of(hourly_series(rows, sessions), sessions), names)
    later = columns(frame_of(hourly_series(rows, moved), moved), names)
    assert [name for name in names if not same(today[name], later[name])] == []


def test_sessions_that_open_an_hour_later_by_utc_change_nothing() -> None:
    rows, sessions, hour = walked(11), hours(40), timedelta(hours=1)
    # As after clocks are set back in fall: the hour that they show twice is over once by UTC.
    turned = [replace(one, open=one.open + hour, close=one.close + hour) for one in sessions[18:]]
    before, after = (
        columns(frame_of(hourly_series(rows, of), of, (date(2027, 3, 9),)), features())
        for of in (sessions, [*sessions[:18], *turned])
    )
    assert [name for name in before if not same(before[name], after[name])] == []
    assert np.isfinite(after["volume_of_bar"][-1])


PRICES = st.floats(1e-6, 1e12)
BARS = st.lists(
    st.one_of(
        st.builds(lambda price, volume: (price, price, price, price, volume), PRICES, st.just(0.0)),
        st.builds(
            lambda prices, volume: (prices[0], max(prices), min(prices), prices[1], volume),
            st.tuples(PRICES, PRICES, PRICES, PRICES),
            st.one_of(st.just(0.0), st.floats(0, 1e15)),
        ),
    ),
    min_size=1,
    max_size=40,
)


@given(BARS, st.integers(1, 25), SEEDS)
def test_values_are_finite_and_within_their_range_or_absent(rows: list[BarRow], times: int, seed: int) -> None:
    for frame in (bare((rows * times)[:ENOUGH]), full(seed)):
        found = columns(frame, features())
        for name, column in found.items():
            each, known = feature_of(name), column[~np.isnan(column)]
            assert np.isfinite(known).all(), name
            slack = 1e-6
            assert ((known >= each.low - slack) & (known <= each.high + slack)).all(), name


def test_flat_bars_have_no_value_where_something_is_divided_by_their_range() -> None:
    frame = bare([(5.0, 5.0, 5.0, 5.0, 0.0)] * ENOUGH)
    found = columns(frame, features())
    known = {name for name, column in found.items() if not isnan(column[-1])}
    clock = {"minute_sine", "minute_cosine", "weekday_sine", "weekday_cosine", "minutes_left", "days_to_roll"}
    assert known == clock | {"rsi_14", "rsi_2", "adx_14", "directional_14", "aroon_25", "volume_high"}
    assert absence(feature_of("body"), frame, ENOUGH - 1) is Absence.UNDEFINED


def test_range_that_has_faded_to_rounding_divides_nothing() -> None:
    rows = [*walked(7, 40), *[(5.1, 5.1, 5.1, 5.1, 3.0)] * 520]
    rows[40] = (rows[39][3], max(rows[39][3], 5.1), min(rows[39][3], 5.1), 5.1, 3.0)
    found = columns(bare(rows), ["from_sma_10", "from_kijun_26", "from_high", "range_level"])
    assert all(isnan(column[-1]) for column in found.values())
    assert not isnan(found["from_sma_10"][60])


def test_first_value_comes_with_the_bar_that_the_feature_names() -> None:
    frame = bare(walked(1))
    found = columns(frame, features())
    for each in features().values():
        if each.name in OF_THE_MOMENT:
            assert absence(each, frame, 50) is Absence.NOT_GIVEN
        elif each.sessions:
            assert absence(each, frame, 22) is Absence.WARMING_UP
        else:
            first = int(np.argmax(~np.isnan(found[each.name])))
            assert first + 1 == each.bars, each.name
            assert not first or absence(each, frame, first - 1) is Absence.WARMING_UP


def test_enough_bars_are_asked_for() -> None:
    asked = [feature_of("return_78"), feature_of("volume_of_bar")]
    assert bars_before(asked, 276) == 468 + 300 + 21 * 276
    assert bars_before(asked[:1], 276) == 468 + 300 + 276


@pytest.mark.parametrize("bad", [nan, float("inf"), -1.0, 0.0])
def test_bar_that_cannot_be_used_is_absent_and_the_bars_after_it_begin_anew(bad: float) -> None:
    rows, place = walked(4), 30
    broken = [*rows[:place], (bad, rows[place][1], rows[place][2], bad, 1.0), *rows[place + 1 :]]
    found, frame = columns(bare(broken), features()), bare(broken)
    later = columns(frame.part(place + 1, ENOUGH), features())
    for name, column in found.items():
        assert isnan(column[place])
        assert same(column[place + 1 :], later[name]), name
    assert absence(feature_of("body"), frame, place) is Absence.UNDEFINED
    assert absence(feature_of("rsi_14"), frame, place + 3) is Absence.WARMING_UP


def test_what_needs_the_whole_session_is_absent_where_the_bars_begin_within_one() -> None:
    whole, part = (columns(bare(walked(6), skipped=skipped), ["from_vwap", "from_high"]) for skipped in (0, 2))
    assert isfinite(whole["from_high"][20])
    assert isnan(part["from_high"][20])
    assert isfinite(part["from_high"][21])
    assert isnan(part["from_vwap"][20])
    assert not any(isnan(value) for value in part["from_high"][21:])


def test_spread_and_releases_are_absent_without_their_sources() -> None:
    frame = full(8)
    found = columns(frame, features())
    ends, told = frame.starts + frame.width_s, frame.news
    assert told is not None
    for place in range(0, ENOUGH, 7):
        known = [one for one in frame.releases or () if one.known_s <= ends[place]]
        near = bool(known) and any(abs(due - ends[place]) <= 1_800 for due in known[-1].due_s)
        assert (float(near) == found["release_near"][place]) if known else isnan(found["release_near"][place])
        counted = sum(ends[place] - 3_600 < at <= ends[place] for at in told.known_s["macro"])
        assert found["news_macro"][place] == counted
    assert set(feature_of("spread").reads) == {FeatureInputs.SPREAD}
    assert same(found["spread"], frame.spread if frame.spread is not None else found["body"])
