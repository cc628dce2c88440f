"""What a company's insiders bought and sold, by day."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.kind import DayFact, Kind, Row, documented
from tradebot.signals import rows

LOOKBACK_DAYS = 182
"""Half a year, as in the study that the component is built on."""
_SIDES = {"buy": True, "sell": False}


class InsiderDay(DayFact, frozen=True):
    """All purchases, or all sales, by insiders of one company on one day; premium in USD."""

    bought: bool
    insiders: int
    transactions: int
    premium: Decimal


class InsiderFacts(NamedTuple):
    """How many insiders bought and how many sold in the past half-year, each counted once a day; and the last day."""

    buyers: int
    sellers: int
    last: date


def _parse(row: Row, symbol: str, at: datetime) -> InsiderDay:
    day, side = rows.past_day(row, "date", at), rows.text(row, "buy_sell").lower()
    if side not in _SIDES:
        raise rows.BadRowError("buy_sell is neither buy nor sell")
    insiders, transactions = (rows.count(row, name) for name in ("uniq_insiders", "transactions"))
    premium = rows.number(row, "premium")
    return InsiderDay(f"{day.isoformat()}/{side}", symbol, day, _SIDES[side], insiders, transactions, abs(premium))


def _condense(days: Sequence[tuple[date, bool, int]]) -> InsiderFacts:
    buyers, sellers = (sum(insiders for _, bought, insiders in days if bought is side) for side in (True, False))
    return InsiderFacts(buyers, sellers, max(day for day, _, _ in days))


KIND = Kind(
    name="insider",
    unit="insiders, USD",
    sign="purchases are bullish; sales are bearish and count less",
    absent="no trade by an insider in the past half-year",
    fact=InsiderDay,
    path="/api/insider/{}/ticker-flow",
    params={"limit": "500"},
    parse=_parse,
    lean=attrgetter("date", "bought", "insiders"),
    condense=_condense,
    past_days=LOOKBACK_DAYS,
    core=True,
    fields=documented(
        "text date buy_sell, decimal premium, number avg_price, integer transactions uniq_insiders volume"
    ),
)
