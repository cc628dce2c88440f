"""Implied volatility by expiry."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

from tradebot.model.kind import Kind, Row, SymbolFact, documented
from tradebot.signals import rows

NEAR_DAYS, FAR_DAYS = 30, 90


class ExpiryVolatility(SymbolFact, frozen=True):
    """Implied volatility at the money of one expiry, a fraction a year, as of one session; `days` to the expiry."""

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


def _parse(row: Row, symbol: str, at: datetime) -> ExpiryVolatility:
    day, expiry = rows.past_day(row, "date", at), rows.day(row, "expiry")
    identity = f"{day.isoformat()}/{expiry.isoformat()}"
    return ExpiryVolatility(identity, symbol, expiry, day, rows.count(row, "dte"), rows.positive(row, "volatility"))


def _condense(points: Sequence[tuple[date, int, float]]) -> TermFacts:
    newest = max(day for day, _, _ in points)
    curve = sorted((days, volatility) for day, days, volatility in points if day == newest)
    return TermFacts(_at(curve, NEAR_DAYS), _at(curve, FAR_DAYS), len(curve), newest)


def _at(curve: Sequence[tuple[int, float]], days: int) -> float | None:
    """Return the volatility over some days. Total variance is linear between two expiries, as in the Cboe's VIX."""
    for (before, low), (after, high) in pairwise(curve):
        if before <= days <= after and before < after:
            total = low**2 * before + (high**2 * after - low**2 * before) * (days - before) / (after - before)
            return sqrt(total / days)
    return None


KIND = Kind(
    name="term_structure",
    unit="volatility as a fraction a year",
    sign="none: what options expect over 30 and over 90 days",
    absent="no expiry known",
    fact=ExpiryVolatility,
    path="/api/stock/{}/volatility/term-structure",
    parse=_parse,
    lean=lambda expiry: (expiry.date, expiry.days, float(expiry.volatility)),
    condense=_condense,
    past_days=7,
    fields=documented("text date expiry, decimal implied_move implied_move_perc volatility, integer dte"),
)
