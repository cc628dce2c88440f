"""Shares sold short, as reported twice a month."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.kind import DayFact, Kind, Row, documented
from tradebot.signals import rows

PUBLISHED_AFTER = timedelta(days=11)
"""How long after its date short interest is published, at least: two business days to report it, seven to publish."""


class ShortInterest(DayFact, frozen=True):
    """The short interest of one symbol on one settlement date.

    `interest` is a fraction of the float, which is `float_shares`. `days_to_cover` is short interest over the average
    daily volume. `fee_rate` is what borrowing shares costs, in percent a year, or None if the source doesn't say.
    """

    interest: Decimal
    days_to_cover: Decimal
    float_shares: Decimal
    fee_rate: Decimal | None


class ShortFacts(NamedTuple):
    """The last report, and its numbers as they are computed with."""

    report: ShortInterest
    interest: float
    days_to_cover: float
    float_shares: float
    fee_rate: float | None


def _parse(row: Row, symbol: str, at: datetime) -> ShortInterest:
    day = rows.past_day(row, "market_date", at)
    interest, days_to_cover = rows.not_negative(row, "si_float"), rows.not_negative(row, "days_to_cover")
    fee_rate = rows.optional(rows.number, row, "fee_rate")
    return ShortInterest(
        day.isoformat(), symbol, day, interest, days_to_cover, rows.positive(row, "total_float"), fee_rate
    )


def _condense(reports: Sequence[ShortInterest]) -> ShortFacts:
    last = max(reports, key=lambda report: report.date)
    fee_rate = None if last.fee_rate is None else float(last.fee_rate)
    return ShortFacts(last, float(last.interest), float(last.days_to_cover), float(last.float_shares), fee_rate)


KIND = Kind(
    name="short_interest",
    single=True,
    unit="fraction of the float, days to cover, percent a year",
    sign="none: the more, the more shares are sold short",
    absent="no report of the last weeks",
    fact=ShortInterest,
    path="/api/shorts/{}/interest-float/v2",
    parse=_parse,
    moment=lambda report: report.date + PUBLISHED_AFTER,
    condense=_condense,
    past_days=45,
    fields=documented(
        "text market_date symbol, decimal days_to_cover si_float, decimal? fee_rate rebate_rate "
        "si_float_with_synth_long_pct_of_total_shares, integer short_interest total_float, integer? "
        "short_shares_available"
    ),
)
