"""How much dearer puts are than calls, equally far from the money, by session."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import fmean, median
from typing import NamedTuple

from tradebot.model.kind import NEW_YORK, Kind, Row, SymbolFact, documented
from tradebot.signals import rows

LEAST_DAYS = 17
"""Counted from a trading date, so that the expiry in use changes between a Tuesday and a Wednesday."""
_FRIDAY = 4
_JUNETEENTH = (6, 19)
_JUNETEENTH_SINCE = 2022
_DECEMBER = 12


def monthly_after(day: date) -> date:
    """Return the first monthly expiry that is at least 17 days away, and so at most 52."""
    year, month = day.year, day.month
    while ((found := monthly(year, month)) - day).days < LEAST_DAYS:
        year, month = (year + 1, 1) if month == _DECEMBER else (year, month + 1)
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


_DELTA = 25


class RiskReversal(SymbolFact, frozen=True):
    """Implied volatility of puts less that of calls, both with a delta of 0.25, in one session.

    A row doesn't say which expiry it is about. It is the monthly one that was asked for on that day.
    """

    expiry: date
    date: date
    skew: Decimal


class SkewFacts(NamedTuple):
    """The last session's skew.

    `usual` is the median of the `sessions` before it, for the same expiry, and `spread` is their mean distance from it.
    Both are None if there are none.
    """

    skew: float
    usual: float | None
    spread: float | None
    sessions: int
    date: date


def _parse(row: Row, symbol: str, at: datetime) -> RiskReversal:
    day = rows.past_day(row, "date", at)
    if rows.number(row, "delta") not in (_DELTA, Decimal(_DELTA) / 100):
        raise rows.BadRowError("delta is not the one asked for")
    expiry = monthly_after(at.astimezone(NEW_YORK).date())
    identity = f"{expiry.isoformat()}/{day.isoformat()}"
    return RiskReversal(identity, symbol, expiry, day, rows.number(row, "risk_reversal"))


def _condense(skews: Sequence[tuple[date, date, float]]) -> SkewFacts:
    """Return the last session's skew and what was usual before it. Skew depends on the expiry, so only one counts."""
    newest = max(expiry for expiry, _, _ in skews)
    *before, (day, last) = sorted((day, skew) for expiry, day, skew in skews if expiry == newest)
    if not before:
        return SkewFacts(last, None, None, 0, day)
    earlier = [skew for _, skew in before]
    usual = median(earlier)
    return SkewFacts(last, usual, fmean(abs(skew - usual) for skew in earlier), len(earlier), day)


KIND = Kind(
    name="risk_reversal",
    unit="volatility as a fraction",
    sign="positive if puts are dearer than calls, which is bearish",
    absent="no skew known",
    fact=RiskReversal,
    path="/api/stock/{}/historical-risk-reversal-skew",
    params={"expiry": lambda session: monthly_after(session).isoformat(), "delta": str(_DELTA), "timeframe": "2M"},
    parse=_parse,
    lean=lambda reversal: (reversal.expiry, reversal.date, float(reversal.skew)),
    condense=_condense,
    past_days=62,
    fields=documented("text date ticker, decimal risk_reversal, integer delta"),
)
