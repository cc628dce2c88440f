"""Shares that sellers failed to deliver."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import NamedTuple

from tradebot.model.kind import DayFact, Kind, Row, documented
from tradebot.signals import rows

PUBLISHED_AFTER = timedelta(days=14)
"""How long after its date a balance is published: the SEC publishes half a month at a time, two weeks late."""
DAYS = 5
"""How many of the last dates are averaged: as many in a row as put a security on Regulation SHO's threshold list."""


class FailsToDeliver(DayFact, frozen=True):
    """The balance of one symbol's undelivered shares on one settlement date. It is a total, not the day's new fails."""

    shares: Decimal


class FailsFacts(NamedTuple):
    """The mean balance of undelivered shares over the last `days` dates, of which `date` is the newest."""

    shares: float
    date: date
    days: int


def _parse(row: Row, symbol: str, at: datetime) -> FailsToDeliver:
    day = rows.past_day(row, "date", at)
    return FailsToDeliver(day.isoformat(), symbol, day, rows.not_negative(row, "quantity"))


def _condense(balances: Sequence[FailsToDeliver]) -> FailsFacts:
    """Return the mean of the last dates. A date without a balance isn't reported, so it isn't counted."""
    last = sorted(balances, key=lambda balance: balance.date)[-DAYS:]
    return FailsFacts(fmean(float(balance.shares) for balance in last), last[-1].date, len(last))


KIND = Kind(
    name="fails_to_deliver",
    unit="shares",
    sign="none: the more, the more sellers owe",
    absent="no balance of the last weeks",
    fact=FailsToDeliver,
    path="/api/shorts/{}/ftds",
    parse=_parse,
    moment=lambda balance: balance.date + PUBLISHED_AFTER,
    condense=_condense,
    past_days=31,
    fields=documented("text date, decimal? price, integer quantity"),
)
