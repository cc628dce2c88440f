"""Monthly expiries: the third Friday, or the day before it if the exchanges are closed."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.signals.kinds.risk_reversal import LEAST_DAYS, good_friday, monthly, monthly_after

TUESDAY = 1


@pytest.mark.parametrize(
    ("year", "month", "expiry"),
    [
        (2026, 1, date(2026, 1, 16)),
        (2025, 4, date(2025, 4, 17)),
        (2019, 4, date(2019, 4, 18)),
        (2026, 6, date(2026, 6, 18)),
        (2020, 6, date(2020, 6, 19)),
    ],
)
def test_monthly_expiry_is_the_third_friday_unless_that_is_a_holiday(year: int, month: int, expiry: date) -> None:
    assert monthly(year, month) == expiry


@pytest.mark.parametrize("day", [date(2024, 3, 29), date(2025, 4, 18), date(2026, 4, 3), date(2038, 4, 23)])
def test_good_friday_is_two_days_before_easter(day: date) -> None:
    assert good_friday(day.year) == day


@given(day=st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_next_monthly_expiry_is_the_first_that_is_far_enough_away(day: date) -> None:
    found = monthly_after(day)
    assert LEAST_DAYS <= (found - day).days <= LEAST_DAYS + 35
    before = monthly(found.year, found.month - 1) if found.month > 1 else monthly(found.year - 1, 12)
    assert (before - day).days < LEAST_DAYS


@given(day=st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_expiry_in_use_changes_after_a_tuesday_unless_a_holiday_moves_it(day: date) -> None:
    if monthly_after(day) != monthly_after(day + timedelta(days=1)):
        friday = monthly_after(day).weekday() == TUESDAY + 3
        assert day.weekday() == (TUESDAY if friday else TUESDAY - 1)
