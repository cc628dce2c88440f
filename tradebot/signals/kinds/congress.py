"""Trades by members of the US Congress, as they are filed."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import fsum
from typing import NamedTuple

from tradebot.model.kind import Fact, Kind, Phase, Row, Scope, documented
from tradebot.signals import rows

_AMOUNT = re.compile(r"\d[\d,]{0,20}")
_LARGEST_USD = Decimal("1e12")
_SIGNS = {"buy": 1, "purchase": 1, "sell": -1, "sale": -1}


class CongressTrade(Fact, frozen=True):
    """One reported trade: +1 for a purchase, -1 for a sale, 0 for an exchange or a gift.

    `ticker` is the source's spelling. `filed` is when the public could know of the trade, up to 45 days after it.
    `amount` is the middle of the reported range in USD, or its lower end if the range is open.
    """

    ticker: str
    filed: date
    sign: int
    amount: Decimal


class CongressFacts(NamedTuple):
    """What members of Congress bought and sold of one symbol, in USD, over `trades`; `filed` is the last filing."""

    bought_usd: float
    sold_usd: float
    trades: int
    filed: date


def _parse(row: Row, symbol: str, at: datetime) -> CongressTrade:
    told = {name: rows.text(row, name) for name in ("ticker", "txn_type", "amounts", "politician_id", "name")}
    filed, traded = rows.past_day(row, "filed_at_date", at), rows.past_day(row, "transaction_date", at)
    ticker = told["ticker"].upper()
    who = f"{told['politician_id']}/{told['name']}"
    identity = f"{who}/{ticker}/{traded.isoformat()}/{filed.isoformat()}/{told['txn_type']}/{told['amounts']}"
    sign = _SIGNS.get(told["txn_type"].split()[0].lower(), 0)
    return CongressTrade(identity, ticker, filed, sign, _amount(told["amounts"]))


def _amount(text: str) -> Decimal:
    ends = [Decimal(digits.replace(",", "")) for digits in _AMOUNT.findall(text)[:2]]
    if not ends or not 0 < max(ends) <= _LARGEST_USD:
        raise rows.BadRowError("amounts is not a range of USD")
    return sum(ends, Decimal()) / len(ends)


def _condense(trades: Sequence[CongressTrade]) -> Mapping[str, CongressFacts]:
    """Return what was bought and sold by ticker; what is neither a purchase nor a sale is left out."""
    by_ticker = defaultdict[str, list[CongressTrade]](list)
    for trade in trades:
        if trade.sign:
            by_ticker[trade.ticker].append(trade)
    return {ticker: _facts(found) for ticker, found in by_ticker.items()}


def _facts(trades: Sequence[CongressTrade]) -> CongressFacts:
    bought, sold = (fsum(float(trade.amount) for trade in trades if trade.sign == sign) for sign in (1, -1))
    return CongressFacts(bought, sold, len(trades), max(trade.filed for trade in trades))


KIND = Kind(
    name="congress",
    unit="USD, the middle of the reported range",
    sign="purchases are bullish, sales bearish",
    absent="no trade was filed in the last 30 days",
    fact=CongressTrade,
    path="/api/congress/recent-trades",
    params={"limit": "200"},
    parse=_parse,
    moment=lambda trade: trade.filed,
    condense=_condense,
    poll_s=21_600,
    scope=Scope.MARKET,
    changes=False,
    past_days=30,
    fields=documented(
        "text amounts filed_at_date member_type name politician_id reporter transaction_date txn_type, text? issuer "
        "notes ticker, boolean is_active"
    ),
    max_age_s=172_800,
    phase=Phase.ALWAYS,
)
