"""The short way of reading a row gives what the long way gives, for whatever a file may hold."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tradebot.exchange.market import minute_rows
from tradebot.exchange.market.minute_rows import BadRowError

DIGITS = st.integers(0, 10**7)
NUMBERS = st.one_of(
    st.floats(),
    st.integers(-5, 10**13),
    st.builds("{}.{}".format, DIGITS, DIGITS),
    DIGITS.map(lambda units: units / 100),
    st.sampled_from(["1_0", " 12.5 ", "1e3", "inf", "", "-0", "\uff11", "0.00005", "0.00015", "10000000", "9" * 13]),
)
TIMES = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}{}{}".format,
    st.integers(1999, 2030),
    st.integers(1, 13),
    st.integers(1, 31),
    st.sampled_from("T x"),
    st.integers(0, 25),
    st.integers(0, 61),
    st.sampled_from([":00", ":30", ":61", "", ":00.5"]),
    st.sampled_from(["", "Z", "+00:00", "-05:00", "Q", "1"]),
)


def outcome(read: Callable[..., int], value: object) -> int | str:
    try:
        return read(value)
    except BadRowError as reason:
        return str(reason)


@given(NUMBERS)
@settings(max_examples=100)
@example(100.00005)
@example("0.0001")
@example("9999999.99995")
def test_fast_reading_of_prices_and_volumes_equals_the_exact_one(number: object) -> None:
    assert outcome(minute_rows.units_of, number) == outcome(minute_rows.exact_units, number)
    assert outcome(minute_rows.shares_of, number) == outcome(minute_rows.exact_shares, number)


@given(TIMES)
@settings(max_examples=100)
@example("2025-03-09 02:30:00")
@example("2025-11-02 01:59:00")
@example("2025-03-03 9:31:00")
def test_fast_reading_of_times_equals_the_exact_one(text: str) -> None:
    assert outcome(minute_rows.time_of, text) == outcome(minute_rows.exact_time, text)


def test_number_is_read_as_engine_time_and_true_is_refused_as_a_price() -> None:
    assert minute_rows.time_of(17) == 17
    assert minute_rows.units_of(1.0) == 10_000
    with pytest.raises(BadRowError, match="not a number"):
        minute_rows.units_of(True)
