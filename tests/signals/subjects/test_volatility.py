"""Volatility by expiry, and the expiries that skew is asked for."""

from datetime import date, timedelta
from math import sqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.kit.values import DAY
from tradebot.signals.subjects.volatility import LEAST_DAYS, TERM_STRUCTURE_KIND, good_friday, monthly, monthly_after


def points(*curve: tuple[int, float]) -> list[tuple[date, int, float]]:
    return [(DAY, days, volatility) for days, volatility in curve]


def test_variance_is_linear_between_expiries() -> None:
    found = TERM_STRUCTURE_KIND.condense(points((20, 0.4), (40, 0.3), (90, 0.2), (200, 0.5)))
    near = sqrt((0.4**2 * 20 + 0.3**2 * 40) / 2 / 30)
    assert (found.near, found.far) == pytest.approx((near, 0.2))
    assert (found.expiries, found.date) == (4, DAY)


def test_term_structure_uses_only_the_last_date() -> None:
    old = [(DAY - timedelta(days=1), days, 9.0) for _, days, _ in points((10, 9.0), (100, 9.0))]
    found = TERM_STRUCTURE_KIND.condense([*old, *points((10, 0.2), (100, 0.2))])
    assert (found.near, found.far) == pytest.approx((0.2, 0.2))
    assert (found.expiries, found.date) == (2, DAY)


curves = st.dictionaries(st.integers(0, 400), st.floats(0.01, 5), min_size=1, max_size=9)


@given(curve=curves)
@example({30: 0.4, 90: 0.3})
@example({31: 0.4, 89: 0.3})
def test_volatility_is_known_exactly_between_the_first_and_the_last_expiry(curve: dict[int, float]) -> None:
    found = TERM_STRUCTURE_KIND.condense(points(*curve.items()))
    for value, days in ((found.near, 30), (found.far, 90)):
        assert (value is not None) == (len(curve) > 1 and min(curve) <= days <= max(curve))
        assert value is None or value > 0


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
