"""Money that flows into and out of funds."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import NamedTuple

from tradebot.model.kind import DayFact, Kind, Row, Scope, documented
from tradebot.signals import rows

REACH = timedelta(days=60)
"""How far back we ask."""


class EtfFlow(DayFact, frozen=True):
    """The value of a fund's created less its redeemed shares on one date, in USD."""

    change: Decimal


class EtfFlowFacts(NamedTuple):
    """A fund's flow on the last known date in USD.

    `scale_usd` is the mean magnitude over the `days` before it, or None if there are none.
    """

    date: date
    change_usd: float
    scale_usd: float | None
    days: int


def _parse(row: Row, symbol: str, at: datetime) -> EtfFlow:
    day = rows.past_day(row, "date", at)
    return EtfFlow(day.isoformat(), symbol, day, rows.number(row, "change_prem"))


def _condense(flows: Sequence[tuple[date, float]]) -> EtfFlowFacts:
    *earlier, (day, change_usd) = sorted(flows)
    scale = fmean(abs(usd) for _, usd in earlier) if earlier else None
    return EtfFlowFacts(day, change_usd, scale, len(earlier))


KIND = Kind(
    name="etf_flow",
    unit="USD",
    sign="positive if money flowed in",
    absent="no flow of the last two months, or the symbol is no fund",
    fact=EtfFlow,
    path="/api/etfs/{}/in-outflow",
    params={"start_date": lambda session: (session - REACH).isoformat()},
    parse=_parse,
    lean=lambda flow: (flow.date, float(flow.change)),
    condense=_condense,
    scope=Scope.FUND,
    past_days=60,
    fields=documented("text date, decimal change_prem close, integer change volume, boolean is_fomc"),
)
