"""Intervals that hold what they say, for sessions that overlap too; known quantiles, and Holm's correction."""

from array import array
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.auditing.confidence_intervals import (
    LEVEL,
    correct_for_multiple_tests,
    estimate,
    fewest_sessions,
    t_quantile,
    two_sided_p,
)
from tradebot.auditing.outcomes import HORIZONS, UNKNOWN, HypotheticalEntry, Returns, SessionReturns, closes_of
from tradebot.model.bar import Session
from tradebot.model.series import Series

FIRST = date(2026, 11, 16)
MINUTES = 390


def session(place: int) -> Session:
    day = FIRST + timedelta(days=place)
    opening = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=14, minutes=30)
    return Session(day, opening, opening + timedelta(minutes=MINUTES))


SESSIONS = [session(place) for place in range(12)]
OPEN, END = SESSIONS[0].open, SESSIONS[-1].close


def minutes(prices: dict[int, tuple[float, float]]) -> Series:
    starts = array("q", [int(OPEN.timestamp()) + 60 * minute for minute in prices])
    opens, closes = (array("d", column) for column in zip(*prices.values(), strict=True))
    return Series("AAPL", "1Min", True, starts, opens, close=closes)


def rising(factor: float = 1.0) -> Series:
    return minutes({minute: (100 + factor * minute, 100 + factor * (minute + 1)) for minute in range(MINUTES)})


def closes(first: float, step: float) -> dict[date, float]:
    return {each.date: first + step * place for place, each in enumerate(SESSIONS)}


def entered(at: datetime, **changes: Any) -> HypotheticalEntry:
    """Return the entry of a candidate of a moment, which has a bar."""
    entry = asked(at, **changes)
    assert entry is not None
    return entry


def asked(
    at: datetime, *, until: datetime = END, benchmark: str | None = None, symbol: str = "AAPL"
) -> HypotheticalEntry | None:
    series = {"AAPL": rising(), "SPY": rising(0.1)}
    daily = {"AAPL": closes(490, 10), "SPY": closes(139, 1)}
    return SessionReturns(SESSIONS, series, daily, until, benchmark).entry(symbol, at)


def by_name(returns: Returns) -> dict[str, float | None]:
    return dict(zip((horizon.name for horizon in HORIZONS), returns, strict=True))


def test_return_runs_from_the_next_bars_open_to_each_horizons_end() -> None:
    entry = entered(OPEN + timedelta(minutes=9, seconds=1))
    assert entry.start_s == (OPEN + timedelta(minutes=10)).timestamp()
    ends = {"1 hour": 170, "close": 490, "1 session": 500, "3 sessions": 520, "5 sessions": 540, "10 sessions": 590}
    assert by_name(entry.returns) == pytest.approx({name: price / 110 - 1 for name, price in ends.items()})


def test_the_benchmarks_return_over_the_same_span_is_taken_off() -> None:
    entry = entered(OPEN, benchmark="SPY")
    assert by_name(entry.returns)["1 hour"] == pytest.approx(160 / 100 - 106 / 100)
    assert by_name(entry.returns)["3 sessions"] == pytest.approx(520 / 100 - 142 / 100)
    itself = entered(OPEN, benchmark="SPY", symbol="SPY")
    assert itself.returns == UNKNOWN


@pytest.mark.parametrize(
    ("until", "known"),
    [
        (OPEN + timedelta(minutes=59, seconds=59), set()),
        (OPEN + timedelta(minutes=60), {"1 hour"}),
        (SESSIONS[0].close, {"1 hour", "close"}),
        (SESSIONS[3].close - timedelta(seconds=1), {"1 hour", "close", "1 session"}),
        (SESSIONS[3].close, {"1 hour", "close", "1 session", "3 sessions"}),
    ],
)
def test_horizon_has_a_return_only_once_it_is_over(until: datetime, known: set[str]) -> None:
    entry = entered(OPEN, until=until)
    assert {name for name, value in by_name(entry.returns).items() if value is not None} == known


def test_in_the_last_hour_there_is_no_return_over_an_hour() -> None:
    entry = entered(SESSIONS[0].close - timedelta(minutes=59))
    assert by_name(entry.returns)["1 hour"] is None
    assert by_name(entry.returns)["close"] is not None


def test_before_the_open_the_first_bar_counts_and_after_the_last_there_is_none() -> None:
    early = entered(OPEN - timedelta(hours=10))
    assert early.start_s == OPEN.timestamp()
    assert asked(SESSIONS[0].close - timedelta(seconds=59)) is None
    assert asked(OPEN, symbol="MSFT") is None


def test_thin_symbol_uses_its_last_price_and_a_benchmark_without_one_is_dropped() -> None:
    rare = minutes({0: (100, 101), 30: (102, 103), 200: (110, 111)})
    day = SessionReturns(SESSIONS, {"AAPL": rare, "SPY": minutes({100: (1, 1)})}, {}, END, None)
    entry = day.entry("AAPL", OPEN)
    assert entry is not None
    assert by_name(entry.returns) == {**dict.fromkeys(by_name(UNKNOWN)), "1 hour": pytest.approx(0.03)}
    net = SessionReturns(SESSIONS, {"AAPL": rare, "SPY": minutes({100: (1, 1)})}, {}, END, "SPY").entry("AAPL", OPEN)
    assert net is not None
    assert net.returns == UNKNOWN


@settings(max_examples=40)
@given(st.integers(0, MINUTES - 61), st.floats(1, 1000))
def test_prices_before_the_entry_and_after_the_end_change_nothing(minute: int, price: float) -> None:
    prices = {place: (100.0 + place, 101.0 + place) for place in range(MINUTES)}
    at = OPEN + timedelta(minutes=minute)
    usual = SessionReturns(SESSIONS, {"AAPL": minutes(prices)}, {}, END, None).entry("AAPL", at)
    for place in (*range(minute), *range(minute + 60, MINUTES)):
        prices[place] = price, price
    assert SessionReturns(SESSIONS, {"AAPL": minutes(prices)}, {}, END, None).entry("AAPL", at) == usual


def test_closes_are_named_by_their_dates_in_summer_and_in_winter() -> None:
    midnights = [datetime(2026, 7, 1, 4, tzinfo=UTC), datetime(2026, 12, 1, 5, tzinfo=UTC)]
    days = Series("AAPL", "1Day", True, array("q", [int(at.timestamp()) for at in midnights]), close=array("d", [1, 2]))
    assert closes_of(days) == {date(2026, 7, 1): 1.0, date(2026, 12, 1): 2.0}


WORTH = 0.001
SAMPLES = 300


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (10, 2.2281), (29, 2.0452), (60, 2.0003)],
)
def test_students_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert t_quantile(0.95, degrees) == pytest.approx(quantile, abs=1e-4)
    assert two_sided_p(-quantile, degrees) == pytest.approx(0.05, abs=1e-5)


@given(st.integers(1, 400), st.floats(0, 50), st.floats(0, 50))
def test_a_larger_distance_is_never_more_likely(degrees: int, one: float, other: float) -> None:
    near, far = sorted((one, other))
    assert 0 <= two_sided_p(far, degrees) <= min(two_sided_p(near, degrees) + 1e-15, 1)
    assert two_sided_p(0, degrees) == pytest.approx(1)


@pytest.mark.parametrize(("count", "reach"), [(12, 1), (40, 1), (24, 2), (60, 4), (66, 11)])
def test_one_in_twenty_samples_without_an_effect_shows_one(count: int, reach: int) -> None:
    chance = Random(count * 100 + reach)  # noqa: S311 -- replayable on purpose
    found = 0
    for _ in range(SAMPLES):
        steps = [chance.gauss(0, 1) for _ in range(count + reach)]
        numbers = [sum(steps[place : place + reach]) for place in range(count)]
        p = estimate(numbers, reach, WORTH).p
        assert p is not None
        found += p <= LEVEL
    # Three standard errors of a share of 5%, and a little for the overlap.
    assert 0.01 < found / SAMPLES < 0.095


def test_without_the_overlap_in_mind_the_same_samples_would_seem_to_have_effects() -> None:
    chance = Random(1)  # noqa: S311 -- replayable on purpose
    found = 0
    for _ in range(100):
        steps = [chance.gauss(0, 1) for _ in range(71)]
        p = estimate([sum(steps[place : place + 11]) for place in range(60)], 1, WORTH).p
        found += p is not None and p <= LEVEL
    assert found > 30


def test_effect_is_seen_in_four_of_five_samples_of_the_needed_size() -> None:
    chance = Random(7)  # noqa: S311 -- replayable on purpose
    spread, effect = 0.004, 0.002
    needed = estimate([chance.gauss(0, spread) for _ in range(4000)], 1, effect).needed
    assert needed is not None
    assert 28 <= needed <= 36
    samples = [[chance.gauss(effect, spread) for _ in range(needed)] for _ in range(300)]
    seen = sum((estimate(sample, 1, effect).low or 0) > 0 for sample in samples)
    assert 0.7 < seen / len(samples) < 0.9


def test_the_interval_lies_around_the_mean_and_shrinks_with_more_sessions() -> None:
    numbers = [0.01, -0.02, 0.03, 0.0, 0.01, -0.01, 0.02, 0.0]
    few, many = estimate(numbers, 1, WORTH), estimate(numbers * 4, 1, WORTH)
    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert few.mean == pytest.approx(0.005)
    assert (few.low + few.high) / 2 == pytest.approx(few.mean)
    assert few.low < many.low < few.mean


@pytest.mark.parametrize(("reach", "fewest"), [(1, 8), (2, 8), (4, 16), (11, 44)])
def test_too_few_sessions_have_a_mean_and_no_interval(reach: int, fewest: int) -> None:
    numbers = [float(place % 3) for place in range(fewest)]
    assert fewest_sessions(reach) == fewest
    assert estimate(numbers, reach, WORTH).p is not None
    short = estimate(numbers[1:], reach, WORTH)
    assert (short.low, short.high, short.p, short.needed) == (None, None, None, None)


def test_identical_sessions_have_no_interval() -> None:
    assert estimate([0.01] * 20, 1, WORTH).p is None


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_a_corrected_chance_is_never_smaller_and_keeps_the_order(chances: list[float | None]) -> None:
    found = correct_for_multiple_tests(chances)
    both = zip(chances, found, strict=True)
    tested = sorted((raw, after) for raw, after in both if raw is not None and after is not None)
    assert [raw is None for raw in chances] == [after is None for after in found]
    assert all(raw <= after <= 1 for raw, after in tested)
    assert all(one[1] <= other[1] for one, other in pairwise(tested) if one[0] < other[0])


def test_holms_correction_multiplies_the_smallest_chance_by_the_number_of_rows() -> None:
    assert correct_for_multiple_tests([0.03, 0.01, None, 0.04]) == pytest.approx([0.06, 0.03, None, 0.06])


def test_purchase_is_held_for_a_while_or_until_the_close() -> None:
    day = SessionReturns(SESSIONS, {"AAPL": rising()}, {}, END, "SPY")
    hour = 3600
    # The bar after the moment opens at 110, and four hours later the last one closed at 350.
    assert day.return_after("AAPL", OPEN + timedelta(minutes=9, seconds=30), 4 * hour) == pytest.approx(350 / 110 - 1)
    assert day.return_after("AAPL", OPEN + timedelta(minutes=380), 4 * hour) == pytest.approx(490 / 480 - 1)
    assert day.return_after("MSFT", OPEN, hour) is None
    late = minutes({minute: (100, 100 if minute < MINUTES else 200) for minute in range(MINUTES + 60)})
    assert (
        SessionReturns(SESSIONS, {"AAPL": late}, {}, END, None).return_after(
            "AAPL", OPEN + 6 * timedelta(hours=1), hour
        )
        == 0
    )
    early = SessionReturns(SESSIONS, {"AAPL": rising()}, {}, OPEN + timedelta(minutes=100), None)
    assert early.return_after("AAPL", OPEN + timedelta(minutes=40), hour) == pytest.approx(200 / 140 - 1)
    assert early.return_after("AAPL", OPEN + timedelta(minutes=41), hour) is None


def test_price_of_a_moment_is_the_last_one_before_it() -> None:
    day = SessionReturns(SESSIONS, {"AAPL": rising()}, {}, OPEN + timedelta(minutes=100), None)
    assert day.price("AAPL", OPEN + timedelta(minutes=10)) == 110
    assert day.price("AAPL", OPEN + timedelta(minutes=10, seconds=59)) == 110
    assert day.price("AAPL", OPEN + timedelta(minutes=101)) is None
    assert day.price("AAPL", OPEN - timedelta(minutes=1)) is None
    assert day.price("AAPL", OPEN) is None
    assert day.price("MSFT", OPEN + timedelta(minutes=10)) is None
