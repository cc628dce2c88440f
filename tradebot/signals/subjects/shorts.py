"""Shares sold short, and shares that sellers failed to deliver."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import NamedTuple

from tradebot.model.fact_kind import DayFact, Kind, Row, parse_field_types
from tradebot.model.struct_tools import replace
from tradebot.signals import fields
from tradebot.signals.scoring import NumberFormat, ScoreComponent, ScoringInputs, compile_formula, latest, names
from tradebot.signals.subjects.alerts import FLOW_READS, FlowShare

SHORTS_PUBLISHED_AFTER = timedelta(days=11)
"""How long after its date short interest is published, at least: two business days to report it, seven to publish."""


class ShortInterest(DayFact, frozen=True):
    """The short interest of one symbol on one settlement date.

    `interest` is a fraction of the float, which is `float_shares`. `days_to_cover` is short interest over the average
    daily volume. `fee_rate` is the cost of borrowing shares, in percent a year, or None if the source doesn't say.
    """

    interest: Decimal
    days_to_cover: Decimal
    float_shares: Decimal
    fee_rate: Decimal | None


class ShortFacts(NamedTuple):
    """The last report, and its figures as floats for the formulas, in the report's units."""

    report: ShortInterest
    interest: float
    days_to_cover: float
    float_shares: float
    fee_rate: float | None


def _parse_short_interest(row: Row, symbol: str, at: datetime) -> ShortInterest:
    day = fields.past_day(row, "market_date", at)
    interest, days_to_cover = fields.not_negative(row, "si_float"), fields.not_negative(row, "days_to_cover")
    fee_rate = fields.optional(fields.number, row, "fee_rate")
    return ShortInterest(
        day.isoformat(), symbol, day, interest, days_to_cover, fields.positive(row, "total_float"), fee_rate
    )


def _condense_short_interest(reports: Sequence[ShortInterest]) -> ShortFacts:
    last = max(reports, key=lambda report: report.date)
    fee_rate = None if last.fee_rate is None else float(last.fee_rate)
    return ShortFacts(last, float(last.interest), float(last.days_to_cover), float(last.float_shares), fee_rate)


SHORT_INTEREST_KIND = Kind(
    name="short_interest",
    single=True,
    unit="fraction of the float, days to cover, percent a year",
    sign="none: larger means that more shares are sold short",
    absent="no report of the last weeks",
    fact=ShortInterest,
    path="/api/shorts/{}/interest-float/v2",
    parse=_parse_short_interest,
    moment=lambda report: report.date + SHORTS_PUBLISHED_AFTER,
    condense=_condense_short_interest,
    past_days=45,
    fields=parse_field_types(
        "text market_date symbol, decimal days_to_cover si_float, decimal? fee_rate rebate_rate "
        "si_float_with_synth_long_pct_of_total_shares, integer short_interest total_float, integer? "
        "short_shares_available"
    ),
)
"""Shares sold short, as reported twice a month."""


CROWDED = "clamp((interest - 0.15) / 0.25, 0, 1) + clamp((days_to_cover - 5) / 10, 0, 1)"
"""How crowded short positions are, each from 0 to 1: by share of the float plus by days to cover."""
REPORT = {
    "interest": NumberFormat("of the float", "report.date", "report.id"),
    "days_to_cover": NumberFormat("days", "report.date", "report.id"),
}
"""The fields of the last report."""


SHORTS_COMPONENT = ScoreComponent(
    name="shorts",
    family="short_interest",
    reads=(SHORT_INTEREST_KIND,),
    sign="bearish if much of the float is sold short, or takes long to buy back; never bullish",
    looks_at=latest(SHORT_INTEREST_KIND),
    shows=REPORT,
    formula=f"-({CROWDED}) / 2",
    absent="no report of the last weeks",
    source=lambda inputs: "last report",
    after="tradebot's predecessor: 15 to 40 percent of the float, 5 to 15 days",
    evidence="Boehmer, Jones & Zhang 2008 and Hong, Li, Ni, Scheinkman & Yan 2015, both over weeks to months",
)
"""How much of a stock is sold short."""


FAILS_PUBLISHED_AFTER = timedelta(days=14)
"""How long after its date a balance is published: the SEC publishes half a month at a time, two weeks later."""
FAILS_DAYS = 5
"""How many of the last dates are averaged: the five in a row that put a security on Regulation SHO's threshold list."""


class FailsToDeliver(DayFact, frozen=True):
    """The balance of one symbol's undelivered shares on one settlement date. It is a total, not the day's new fails."""

    shares: Decimal


class FailsFacts(NamedTuple):
    """The mean balance of undelivered shares over the last `days` dates, of which `date` is the newest."""

    shares: float
    date: date
    days: int


def _parse_fails_to_deliver(row: Row, symbol: str, at: datetime) -> FailsToDeliver:
    day = fields.past_day(row, "date", at)
    return FailsToDeliver(day.isoformat(), symbol, day, fields.not_negative(row, "quantity"))


def _condense_fails_to_deliver(balances: Sequence[FailsToDeliver]) -> FailsFacts:
    """Return the mean of the last dates. A date without a balance isn't reported, so it isn't counted."""
    last = sorted(balances, key=lambda balance: balance.date)[-FAILS_DAYS:]
    return FailsFacts(fmean(float(balance.shares) for balance in last), last[-1].date, len(last))


FAILS_TO_DELIVER_KIND = Kind(
    name="fails_to_deliver",
    unit="shares",
    sign="none: larger means that sellers owe more",
    absent="no balance of the last weeks",
    fact=FailsToDeliver,
    path="/api/shorts/{}/ftds",
    parse=_parse_fails_to_deliver,
    moment=lambda balance: balance.date + FAILS_PUBLISHED_AFTER,
    condense=_condense_fails_to_deliver,
    past_days=31,
    fields=parse_field_types("text date, decimal? price, integer quantity"),
)
"""Shares that sellers failed to deliver."""


THRESHOLD = 0.005
"""The fraction of a stock's shares at which undelivered shares put it on Regulation SHO's threshold list."""


class Pressure(NamedTuple):
    """The known short interest: the last report, and the balance of undelivered shares."""

    interest: float | None
    days_to_cover: float | None
    float_shares: float | None
    fee_rate: float | None
    report: ShortInterest | None
    fails: float | None
    fails_on: date | None


def pressure(inputs: ScoringInputs) -> Pressure:
    shorts, fails = SHORT_INTEREST_KIND.of(inputs.facts.known), FAILS_TO_DELIVER_KIND.of(inputs.facts.known)
    report = shorts and (shorts.interest, shorts.days_to_cover, shorts.float_shares, shorts.fee_rate, shorts.report)
    return Pressure(*(report or (None,) * 5), *((fails.shares, fails.date) if fails else (None, None)))


PRESSURE = {
    **REPORT,
    "float_shares": NumberFormat("shares", "report.date", "report.id"),
    "fails": NumberFormat("shares", "fails_on"),
}


SQUEEZE_COMPONENT = FlowShare(
    name="squeeze",
    family="short_interest",
    reads=(SHORT_INTEREST_KIND, FAILS_TO_DELIVER_KIND, *FLOW_READS),
    sign="bullish if short sellers are under pressure and the flow is bullish; bearish if the flow is",
    looks_at=pressure,
    shows=PRESSURE,
    formula=f"flow * ({CROWDED} + clamp(fails / ({THRESHOLD} * float_shares), 0, 1)) / 3",
    absent="no flow, no report of short interest, or no balance of undelivered shares",
    source=lambda inputs: "last report",
    after="the thresholds of tradebot's predecessor, and for undelivered shares those of Regulation SHO",
    inferred="that crowded short positions add to the flow in both directions: buying upward, thin trading downward",
)
"""Pressure on short sellers, in the direction of the flow."""


SIGNS = f"(interest >= 0.2) + (days_to_cover >= 7) + (fee_rate >= 5) + (fails >= {THRESHOLD} * float_shares)"


def _signs(inputs: ScoringInputs) -> str:
    numbers = [getattr(pressure(inputs), name) for name in names(SIGNS)]
    signs = 0.0 if None in numbers else compile_formula(SIGNS, names(SIGNS))(*numbers)
    return f"{signs:.0f} signs of 4"


SQUEEZE_SCORE_COMPONENT = replace(
    SQUEEZE_COMPONENT,
    name="squeeze_score",
    sign="bullish if there are signs of a squeeze and the flow is bullish; bearish if the flow is",
    shows={**PRESSURE, "fee_rate": NumberFormat("percent a year", "report.date", "report.id")},
    formula=f"flow * ({SIGNS}) / 4",
    absent="no flow, or one of the four signs isn't known",
    source=_signs,
    after="tradebot: a count of signs; for undelivered shares the threshold of Regulation SHO",
    inferred="what a squeeze is: the source doesn't say",
)
"""How many signs of a short squeeze there are, in the direction of the flow."""
