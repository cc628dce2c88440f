"""Changes in what institutions hold, as they are filed each quarter."""

from collections.abc import Sequence
from datetime import date, datetime
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.kind import Kind, Row, SymbolFact, documented
from tradebot.signals import rows


class InstitutionalHolding(SymbolFact, frozen=True):
    """By how many shares one institution changed its holding of a symbol in a quarter.

    `filed` is when the public could know of it, up to 45 days after the quarter.
    """

    filed: date
    change: int


class InstitutionalFacts(NamedTuple):
    """How many shares `holders` institutions bought and sold, by filings of which `filed` is the newest."""

    bought: float
    sold: float
    holders: int
    filed: date


def _parse(row: Row, symbol: str, at: datetime) -> InstitutionalHolding:
    filed, reported = rows.past_day(row, "filing_date", at), rows.day(row, "report_date")
    identity = f"{rows.text(row, 'name')}/{reported.isoformat()}"
    return InstitutionalHolding(identity, symbol, filed, int(rows.number(row, "units_change")))


def _condense(changes: Sequence[tuple[date, int]]) -> InstitutionalFacts:
    bought, sold = (fsum(max(0, sign * change) for _, change in changes) for sign in (1, -1))
    return InstitutionalFacts(bought, sold, len(changes), max(filed for filed, _ in changes))


KIND = Kind(
    name="institutional",
    unit="shares",
    sign="bought shares are bullish",
    absent="no filing of the last 100 days",
    fact=InstitutionalHolding,
    path="/api/institution/{}/ownership",
    params={"limit": "200", "order": "filing_date", "order_direction": "desc"},
    parse=_parse,
    moment=attrgetter("filed"),
    lean=attrgetter("filed", "change"),
    condense=_condense,
    past_days=100,
    fields=documented(
        "text filing_date name report_date, text? first_buy short_name, decimal? avg_price inst_share_value inst_value "
        "shares_outstanding value, integer units units_change, list historical_units people tags"
    ),
)
