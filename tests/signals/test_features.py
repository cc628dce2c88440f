"""The features of the market: what they are by definition, and the laws that hold for all of them."""

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from math import isfinite, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.signals.series import ENOUGH, BarRow, bare, full, hourly_series, hours, walked
from tests.signals.features.plain import BY_DEFINITION, Plain
from tradebot.model.values import replace
from tradebot.signals.features import OBSERVED, Feature, absence, bars_before, columns, feature_of, features, frame_of
from tradebot.signals.features.feature import Absence, Reads
from tradebot.signals.features.frame import Frame
from tradebot.signals.features.measures import Measures
from tradebot.signals.features.rolling import Column
from tradebot.signals.features.state import STATE

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
    from tradebot.signals.features.rows.returns import zscores

    of = Measures(bare([(c, c, c, c, 1.0) for c in map(float, closes)]))
    assert zscores(of.close, 10)[-1] == pytest.approx(1.192079, abs=5e-7)
    assert np.exp(of.log_return(5)[-1]) - 1 == pytest.approx(0.058252, abs=5e-7)


@given(SEEDS, st.integers(1, ENOUGH - 1))
def test_no_value_changes_when_bars_are_added(seed: int, cut: int) -> None:
    assert changed_later(full(seed), cut, features().values()) == set()


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
    assert set(feature_of("spread").reads) == {Reads.SPREAD}
    assert same(found["spread"], frame.spread if frame.spread is not None else found["body"])
