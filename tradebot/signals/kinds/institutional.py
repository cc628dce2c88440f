"""Changes in what institutions hold, as they are filed each quarter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import fsum
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Request, Row
from tradebot.signals import rows


@dataclass(frozen=True, slots=True)
class InstitutionalHolding:
    """By how many shares one institution changed its holding of a symbol in a quarter.

    `filed` is when the public could know of it, up to 45 days after the quarter.
    """

    id: str
    symbol: str
    filed: date
    change: int


class HoldingChange(NamedTuple):
    """The part of an institutional holding that decisions read."""

    filed: date
    change: int


class InstitutionalFacts(NamedTuple):
    """How many shares `holders` institutions bought and sold, by filings of which `filed` is the newest."""

    bought: float
    sold: float
    holders: int
    filed: date


def _request(ticker: str, session: date) -> Request:
    params = {"limit": "200", "order": "filing_date", "order_direction": "desc"}
    return Request(f"/api/institution/{ticker}/ownership", params)


def _parse(row: Row, symbol: str, at: datetime) -> InstitutionalHolding:
    filed, reported = rows.past_day(row, "filing_date", at), rows.day(row, "report_date")
    identity = f"{rows.text(row, 'name')}/{reported.isoformat()}"
    return InstitutionalHolding(identity, symbol, filed, int(rows.number(row, "units_change")))


def _condense(holdings: Sequence[HoldingChange]) -> InstitutionalFacts:
    """Return what was bought and sold by all filings that still count."""
    bought, sold = (fsum(max(0, sign * holding.change) for holding in holdings) for sign in (1, -1))
    return InstitutionalFacts(bought, sold, len(holdings), max(holding.filed for holding in holdings))


KIND = Kind(
    name="institutional",
    unit="shares",
    sign="bought shares are bullish",
    absent="no filing of the last 100 days",
    source="Unusual Whales, institutional ownership",
    fact=InstitutionalHolding,
    request=_request,
    parse=_parse,
    moment=lambda holding: holding.filed,
    lean=lambda holding: HoldingChange(holding.filed, holding.change),
    condense=_condense,
    poll_s=86_400,
    past_days=100,
    fields={
        "avg_price": "decimal?",
        "filing_date": "text",
        "first_buy": "text?",
        "historical_units": "list",
        "inst_share_value": "decimal?",
        "inst_value": "decimal?",
        "name": "text",
        "people": "list",
        "report_date": "text",
        "shares_outstanding": "decimal?",
        "short_name": "text?",
        "tags": "list",
        "units": "integer",
        "units_change": "integer",
        "value": "decimal?",
    },
    max_age_s=432_000,
    phase=Phase.MORNING,
)
