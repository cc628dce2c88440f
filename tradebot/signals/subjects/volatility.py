"""Volatility implied by options: its level against the past, its term structure, and puts against calls."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from math import sqrt
from operator import attrgetter
from statistics import fmean, median
from typing import NamedTuple

from tradebot.model.fact_kind import NEW_YORK, DayFact, Kind, Row, SymbolFact, parse_field_types
from tradebot.signals import fields
from tradebot.signals.scoring import NumberFormat, ScoreComponent, ScoringInputs, latest, number_formats, recent
from tradebot.signals.subjects.alerts import FLOW_READS, FlowShare


class IvRank(DayFact, frozen=True):
    """Implied volatility ranked within its past year: `rank` is 0 to 100, `volatility` a fraction."""

    rank: Decimal
    volatility: Decimal


def _parse_iv_rank(row: Row, symbol: str, at: datetime) -> IvRank:
    day, rank = fields.past_day(row, "date", at), fields.not_negative(row, "iv_rank_1y")
    if rank > 100:
        raise fields.BadRowError("iv_rank_1y is above 100")
    fields.past_time(row, "updated_at", at)
    return IvRank(day.isoformat(), symbol, day, rank, fields.positive(row, "volatility"))


IV_RANK_KIND: Kind[IvRank, IvRank, IvRank] = Kind(
    name="iv_rank",
    unit="rank from 0 to 100",
    sign="none: 100 if options are at their most expensive of the past year",
    absent="no rank known",
    fact=IvRank,
    path="/api/stock/{}/iv-rank",
    parse=_parse_iv_rank,
    condense=lambda ranks: max(ranks, key=attrgetter("date", "id")),
    past_days=400,
    fields=parse_field_types("text date updated_at, decimal close volatility iv_rank_1y"),
)
"""Implied volatility within its past year."""


IV_RANK_COMPONENT = FlowShare(
    name="iv_rank",
    family="volatility",
    reads=(IV_RANK_KIND, *FLOW_READS),
    sign="in the flow's direction if options are cheap, against it if they are expensive",
    looks_at=recent(IV_RANK_KIND),
    shows={"rank": NumberFormat("0 to 100", "date", "id"), "volatility": NumberFormat("fraction", "date", "id")},
    formula="flow * (50 - rank) / 50",
    absent="no direction of the flow, or no rank of the last days",
    source=lambda inputs: "last session",
    after="tradebot's predecessor, without its steps",
    inferred="that buyers of cheap options know more than buyers of dear ones",
)
"""How dear options are, in the direction of the flow."""


class RealizedVolatility(SymbolFact, frozen=True):
    """Volatilities as fractions a year: `implied` on `day`, and `realized` over the month that ended on `measured`.

    The source shifts realized volatility back by 30 days, to align it with what was implied for that month. It couldn't
    be known before `measured`. It is None for a month that hasn't ended.
    """

    day: date
    implied: Decimal | None
    measured: date | None
    realized: Decimal | None


class VolatilityFacts(NamedTuple):
    """The last known volatilities as fractions a year, each with its date; None if none is known."""

    implied: float | None
    day: date | None
    realized: float | None
    measured: date | None


def _parse_realized_volatility(row: Row, symbol: str, at: datetime) -> RealizedVolatility:
    day, implied = fields.past_day(row, "date", at), fields.optional(fields.not_negative, row, "implied_volatility")
    realized = fields.optional(fields.not_negative, row, "realized_volatility")
    measured = None if realized is None else fields.past_day(row, "unshifted_rv_date", at)
    return RealizedVolatility(day.isoformat(), symbol, day, implied, measured, realized)


def _condense_realized_volatility(volatilities: Sequence[RealizedVolatility]) -> VolatilityFacts:
    """Return the last implied and the last realized volatility, which come from different rows."""
    expected = [(each.day, float(each.implied)) for each in volatilities if each.implied is not None]
    # Two rows may have the same day of measurement.
    ended = [
        (each.measured, each.day, float(each.realized))
        for each in volatilities
        if each.measured is not None and each.realized is not None
    ]
    day, implied = max(expected, default=(None, None))
    measured, _, realized = max(ended, default=(None, None, None))
    return VolatilityFacts(implied, day, realized, measured)


REALIZED_VOLATILITY_KIND = Kind(
    name="realized_volatility",
    unit="fraction a year",
    sign="none: larger means that the price moves more",
    absent="no volatility of the last week",
    fact=RealizedVolatility,
    path="/api/stock/{}/volatility/realized",
    params={"date": date.isoformat, "timeframe": "3M"},
    parse=_parse_realized_volatility,
    moment=lambda volatility: max(volatility.day, volatility.measured or volatility.day),
    condense=_condense_realized_volatility,
    past_days=7,
    fields=parse_field_types(
        "text date, text? unshifted_rv_date, decimal price, decimal? implied_volatility realized_volatility"
    ),
)
"""How much a price moved over the last month, and how much options expect it to move over the next."""


REALIZED_VOLATILITY_COMPONENT = ScoreComponent(
    name="realized_volatility",
    family="volatility",
    reads=(REALIZED_VOLATILITY_KIND,),
    sign="bullish if options expect more volatility than there was",
    looks_at=latest(REALIZED_VOLATILITY_KIND),
    shows={"implied": NumberFormat("a year", "day"), "realized": NumberFormat("a year", "measured")},
    formula="(implied - realized) / (implied + realized) if implied + realized else 0",
    absent="one of the two volatilities isn't known",
    source=lambda inputs: "last month",
    after="the spread of Bali & Hovakimian, divided by the sum of both",
    evidence="Bali & Hovakimian 2009, over months",
)
"""The expected volatility in excess of the realized one."""


NEAR_DAYS, FAR_DAYS = 30, 90


class ExpiryVolatility(SymbolFact, frozen=True):
    """At-the-money implied volatility of one expiry, as a fraction a year in one session; `days` is the time to
    expiry.
    """

    expiry: date
    date: date
    days: int
    volatility: Decimal


class TermFacts(NamedTuple):
    """Implied volatility over 30 and over 90 days, as of the last known date; None where no two expiries enclose it."""

    near: float | None
    far: float | None
    expiries: int
    date: date


def _parse_term_structure(row: Row, symbol: str, at: datetime) -> ExpiryVolatility:
    day, expiry = fields.past_day(row, "date", at), fields.day(row, "expiry")
    identity = f"{day.isoformat()}/{expiry.isoformat()}"
    return ExpiryVolatility(identity, symbol, expiry, day, fields.count(row, "dte"), fields.positive(row, "volatility"))


def _condense_term_structure(points: Sequence[tuple[date, int, float]]) -> TermFacts:
    newest = max(day for day, _, _ in points)
    curve = sorted((days, volatility) for day, days, volatility in points if day == newest)
    return TermFacts(_at(curve, NEAR_DAYS), _at(curve, FAR_DAYS), len(curve), newest)


def _at(curve: Sequence[tuple[int, float]], days: int) -> float | None:
    """Return the volatility over a number of days, or None unless two expiries enclose it.

    Total variance is interpolated linearly between the two expiries, as in the Cboe's VIX.
    """
    for (before, low), (after, high) in pairwise(curve):
        if before <= days <= after and before < after:
            total = low**2 * before + (high**2 * after - low**2 * before) * (days - before) / (after - before)
            return sqrt(total / days)
    return None


TERM_STRUCTURE_KIND = Kind(
    name="term_structure",
    unit="volatility as a fraction a year",
    sign="none: what options expect over 30 and over 90 days",
    absent="no expiry known",
    fact=ExpiryVolatility,
    path="/api/stock/{}/volatility/term-structure",
    parse=_parse_term_structure,
    lean=lambda expiry: (expiry.date, expiry.days, float(expiry.volatility)),
    condense=_condense_term_structure,
    past_days=7,
    fields=parse_field_types("text date expiry, decimal implied_move implied_move_perc volatility, integer dte"),
)
"""Implied volatility by expiry."""


IV_TERM_SKEW_COMPONENT = ScoreComponent(
    name="iv_term_skew",
    family="volatility_term",
    reads=(TERM_STRUCTURE_KIND,),
    sign="bearish if options expect more volatility over 30 days than over 90",
    looks_at=recent(TERM_STRUCTURE_KIND),
    shows={
        **number_formats("volatility a year", "near", "far", at="date"),
        "expiries": NumberFormat("expiries", "date"),
    },
    formula="clamp(4 * (far - near) / (far + near), -1, 1)",
    absent="the last days have no two expiries around 30 days, or around 90 days",
    source=lambda inputs: "last session",
    after="the slope of Vasquez 2017, over the sum of both volatilities",
    inferred="that the slope says anything about the stock: Vasquez 2017 found that it predicts returns of straddles",
)
"""Whether options expect more volatility soon than later."""


LEAST_DAYS = 17
"""The fewest days to the expiry in use, which therefore changes between a Tuesday and a Wednesday."""
_FRIDAY = 4
_JUNETEENTH = (6, 19)
_JUNETEENTH_SINCE = 2022
_DECEMBER = 12


def monthly_after(day: date) -> date:
    """Return the first monthly expiry that is at least 17 and at most 52 days away."""
    year, month = day.year, day.month
    while ((expiry := monthly(year, month)) - day).days < LEAST_DAYS:
        year, month = (year + 1, 1) if month == _DECEMBER else (year, month + 1)
    return expiry


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
    """Put minus call implied volatility at a delta of 0.25, in one session.

    A row doesn't name its expiry, which is the monthly expiry requested on that day.
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


def _parse_risk_reversal(row: Row, symbol: str, at: datetime) -> RiskReversal:
    day = fields.past_day(row, "date", at)
    if fields.number(row, "delta") not in (_DELTA, Decimal(_DELTA) / 100):
        raise fields.BadRowError("delta is not the requested one")
    expiry = monthly_after(at.astimezone(NEW_YORK).date())
    identity = f"{expiry.isoformat()}/{day.isoformat()}"
    return RiskReversal(identity, symbol, expiry, day, fields.number(row, "risk_reversal"))


def _condense_risk_reversal(skews: Sequence[tuple[date, date, float]]) -> SkewFacts:
    """Return the last session's skew and its usual value. Skew depends on the expiry, so only one expiry counts."""
    newest = max(expiry for expiry, _, _ in skews)
    *before, (day, last) = sorted((day, skew) for expiry, day, skew in skews if expiry == newest)
    if not before:
        return SkewFacts(last, None, None, 0, day)
    earlier = [skew for _, skew in before]
    usual = median(earlier)
    return SkewFacts(last, usual, fmean(abs(skew - usual) for skew in earlier), len(earlier), day)


RISK_REVERSAL_KIND = Kind(
    name="risk_reversal",
    unit="volatility as a fraction",
    sign="positive if puts are more expensive than calls, which is bearish",
    absent="no skew known",
    fact=RiskReversal,
    path="/api/stock/{}/historical-risk-reversal-skew",
    params={"expiry": lambda session: monthly_after(session).isoformat(), "delta": str(_DELTA), "timeframe": "2M"},
    parse=_parse_risk_reversal,
    lean=lambda reversal: (reversal.expiry, reversal.date, float(reversal.skew)),
    condense=_condense_risk_reversal,
    past_days=62,
    fields=parse_field_types("text date ticker, decimal risk_reversal, integer delta"),
)
"""How much dearer puts are than calls, equally far from the money, by session."""


LEAST_SESSIONS = 5
_RECENT_SKEW = recent(RISK_REVERSAL_KIND)


def _skew(inputs: ScoringInputs) -> SkewFacts | None:
    """Return a recent session's skew; its usual value is None if too few sessions are known.

    Return None if no recent session is known.
    """
    skew: SkewFacts | None = _RECENT_SKEW(inputs)
    return skew._replace(usual=None, spread=None) if skew and skew.sessions < LEAST_SESSIONS else skew


SMILE_SLOPE_COMPONENT = ScoreComponent(
    name="smile_slope",
    family="skew",
    reads=(RISK_REVERSAL_KIND,),
    sign="bearish if puts are more expensive than usual relative to calls",
    looks_at=_skew,
    shows={
        "skew": NumberFormat("volatility", "date"),
        **number_formats("volatility", "usual", "spread"),
        "sessions": NumberFormat("earlier sessions"),
    },
    formula="-clamp((skew - usual) / (2 * spread), -1, 1) if spread else 0",
    absent=f"no skew of the last days, or fewer than {LEAST_SESSIONS} sessions before it",
    source=lambda inputs: "last session",
    after="the skew of Xing, Zhang & Zhao 2010, compared with the stock's own past instead of with other stocks",
    evidence="Xing, Zhang & Zhao 2010: stocks with the steepest smirk underperform for months",
    inferred="the scale, and that a stock's own past says what is steep",
)
"""Whether puts are dearer than usual, compared with calls."""
