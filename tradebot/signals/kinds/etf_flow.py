"""Money that flows into and out of funds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Request, Row, Scope
from tradebot.signals import rows

REACH = timedelta(days=60)
"""How far back we ask."""


@dataclass(frozen=True, slots=True)
class EtfFlow:
    """The value of a fund's created less its redeemed shares on one date, in USD."""

    id: str
    symbol: str
    date: date
    change: Decimal


class DayFlow(NamedTuple):
    """The part of a fund's flow that decisions read."""

    date: date
    change_usd: float


class EtfFlowFacts(NamedTuple):
    """A fund's flow on the last known date in USD.

    `scale_usd` is the mean magnitude over the `days` before it, or None if there are none.
    """

    date: date
    change_usd: float
    scale_usd: float | None
    days: int


def _request(ticker: str, session: date) -> Request:
    return Request(f"/api/etfs/{ticker}/in-outflow", {"start_date": (session - REACH).isoformat()})


def _parse(row: Row, symbol: str, at: datetime) -> EtfFlow:
    day = rows.past_day(row, "date", at)
    return EtfFlow(day.isoformat(), symbol, day, rows.number(row, "change_prem"))


def _condense(flows: Sequence[DayFlow]) -> EtfFlowFacts:
    """Return the last date's flow, and the scale that the earlier ones set."""
    *earlier, last = sorted(flows)
    scale = fmean(abs(flow.change_usd) for flow in earlier) if earlier else None
    return EtfFlowFacts(last.date, last.change_usd, scale, len(earlier))


KIND = Kind(
    name="etf_flow",
    unit="USD",
    sign="positive if money flowed in",
    absent="no flow of the last two months, or the symbol is no fund",
    source="Unusual Whales, inflow and outflow of ETFs",
    fact=EtfFlow,
    request=_request,
    parse=_parse,
    moment=lambda flow: flow.date,
    lean=lambda flow: DayFlow(flow.date, float(flow.change)),
    condense=_condense,
    poll_s=86_400,
    scope=Scope.FUND,
    past_days=60,
    fields={
        "change": "integer",
        "change_prem": "decimal",
        "close": "decimal",
        "date": "text",
        "is_fomc": "boolean",
        "volume": "integer",
    },
    max_age_s=432_000,
    phase=Phase.MORNING,
)
