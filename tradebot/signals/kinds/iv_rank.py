"""Implied volatility within its past year."""

from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from tradebot.model.kind import DayFact, Kind, Row, documented
from tradebot.signals import rows


class IvRank(DayFact, frozen=True):
    """Implied volatility ranked within its past year: `rank` is 0 to 100, `volatility` a fraction."""

    rank: Decimal
    volatility: Decimal


def _parse(row: Row, symbol: str, at: datetime) -> IvRank:
    day, rank = rows.past_day(row, "date", at), rows.not_negative(row, "iv_rank_1y")
    if rank > 100:
        raise rows.BadRowError("iv_rank_1y is above 100")
    rows.past_time(row, "updated_at", at)
    return IvRank(day.isoformat(), symbol, day, rank, rows.positive(row, "volatility"))


KIND: Kind[IvRank, IvRank, IvRank] = Kind(
    name="iv_rank",
    unit="rank from 0 to 100",
    sign="none: 100 if options are at their dearest of the year",
    absent="no rank known",
    fact=IvRank,
    path="/api/stock/{}/iv-rank",
    parse=_parse,
    condense=lambda ranks: max(ranks, key=attrgetter("date", "id")),
    past_days=400,
    fields=documented("text date updated_at, decimal close volatility iv_rank_1y"),
)
