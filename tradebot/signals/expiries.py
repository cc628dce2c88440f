"""Monthly option expiries, which every symbol with options has."""

from datetime import date, timedelta

LEAST_DAYS = 17
"""Counted from a trading date, so that the expiry in use changes between a Tuesday and a Wednesday."""
_FRIDAY = 4
_JUNETEENTH = (6, 19)
_JUNETEENTH_SINCE = 2022
_DECEMBER = 12


def monthly_after(day: date) -> date:
    """Return the first monthly expiry that is at least 17 days away, and so at most 52."""
    found = monthly(day.year, day.month)
    year, month = day.year, day.month
    while (found - day).days < LEAST_DAYS:
        year, month = (year + 1, 1) if month == _DECEMBER else (year, month + 1)
        found = monthly(year, month)
    return found


def monthly(year: int, month: int) -> date:
    """Return the third Friday of a month, or the Thursday before it if the exchanges are closed that Friday."""
    first = date(year, month, 1)
    third = first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
    juneteenth = (third.month, third.day) == _JUNETEENTH and year >= _JUNETEENTH_SINCE
    return third - timedelta(days=1) if juneteenth or third == good_friday(year) else third


def good_friday(year: int) -> date:
    """Return the date of Good Friday, by the Gregorian computus of Meeus, Jones and Butcher."""
    golden, century, years = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (years // 4) - moon - years % 4) % 7
    shift = (golden + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * shift + 114, 31)
    return date(year, month, day + 1) - timedelta(days=2)
