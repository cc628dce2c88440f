"""How much a price moved over the last month, and how much options expect it to move over the next."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.kind import Kind, Row, SymbolFact, documented
from tradebot.signals import rows


class RealizedVolatility(SymbolFact, frozen=True):
    """Volatilities as fractions a year: `implied` on `day`, and `realized` over the month that ended on `measured`.

    The source shifts realized volatility back by 30 days, so that it stands beside what was implied for that month.
    Only from `measured` on could it be known. It is None for a month that hasn't ended.
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


def _parse(row: Row, symbol: str, at: datetime) -> RealizedVolatility:
    day, implied = rows.past_day(row, "date", at), rows.optional(rows.not_negative, row, "implied_volatility")
    realized = rows.optional(rows.not_negative, row, "realized_volatility")
    measured = None if realized is None else rows.past_day(row, "unshifted_rv_date", at)
    return RealizedVolatility(day.isoformat(), symbol, day, implied, measured, realized)


def condense(volatilities: Sequence[RealizedVolatility]) -> VolatilityFacts:
    """Return the last implied and the last realized volatility, which come from different rows."""
    expected = [(each.day, float(each.implied)) for each in volatilities if each.implied is not None]
    # Two rows may name the same day of measurement.
    ended = [
        (each.measured, each.day, float(each.realized))
        for each in volatilities
        if each.measured is not None and each.realized is not None
    ]
    day, implied = max(expected, default=(None, None))
    measured, _, realized = max(ended, default=(None, None, None))
    return VolatilityFacts(implied, day, realized, measured)


KIND = Kind(
    name="realized_volatility",
    unit="fraction a year",
    sign="none: the more, the more the price moves",
    absent="no volatility of the last week",
    fact=RealizedVolatility,
    path="/api/stock/{}/volatility/realized",
    params={"date": date.isoformat, "timeframe": "3M"},
    parse=_parse,
    moment=lambda volatility: max(volatility.day, volatility.measured or volatility.day),
    condense=condense,
    past_days=7,
    fields=documented(
        "text date, text? unshifted_rv_date, decimal price, decimal? implied_volatility realized_volatility"
    ),
)
