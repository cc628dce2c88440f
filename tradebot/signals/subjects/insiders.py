"""Trades of insiders, members of Congress and institutions, as filed."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.fact_kind import DayFact, Fact, Kind, Phase, ReplyScope, Row, SymbolFact, parse_field_types
from tradebot.signals import fields
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, NumberFormat, ScoreComponent, ScoringInputs, count_of, latest, number_formats

LOOKBACK_DAYS = 182
"""The lookback: half a year, as in the study that the component is based on."""
_SIDES = {"buy": True, "sell": False}


class InsiderDay(DayFact, frozen=True):
    """All purchases, or all sales, by insiders of one company on one day; premium in USD."""

    bought: bool
    insiders: int
    transactions: int
    premium: Decimal


class InsiderFacts(NamedTuple):
    """How many insiders bought and how many sold in the past half-year, and the last day on which any did.

    An insider counts once for each day.
    """

    buyers: int
    sellers: int
    last: date


def _parse_insider(row: Row, symbol: str, at: datetime) -> InsiderDay:
    day, side = fields.past_day(row, "date", at), fields.text(row, "buy_sell").lower()
    if side not in _SIDES:
        raise fields.BadRowError("buy_sell is neither buy nor sell")
    insiders, transactions = (fields.count(row, name) for name in ("uniq_insiders", "transactions"))
    premium = fields.number(row, "premium")
    return InsiderDay(f"{day.isoformat()}/{side}", symbol, day, _SIDES[side], insiders, transactions, abs(premium))


def _condense_insider(days: Sequence[tuple[date, bool, int]]) -> InsiderFacts:
    buyers, sellers = (sum(insiders for _, bought, insiders in days if bought is side) for side in (True, False))
    return InsiderFacts(buyers, sellers, max(day for day, _, _ in days))


INSIDER_KIND = Kind(
    name="insider",
    unit="insiders, USD",
    sign="purchases are bullish; sales are bearish and count less",
    absent="no trade by an insider in the past half-year",
    fact=InsiderDay,
    path="/api/insider/{}/ticker-flow",
    params={"limit": "500"},
    parse=_parse_insider,
    lean=attrgetter("date", "bought", "insiders"),
    condense=_condense_insider,
    past_days=LOOKBACK_DAYS,
    core=True,
    fields=parse_field_types(
        "text date buy_sell, decimal premium, number avg_price, integer transactions uniq_insiders volume"
    ),
)
"""Purchases and sales of a company's insiders, by day."""


INSIDER_COMPONENT = ScoreComponent(
    name="insider",
    family="insiders",
    reads=(INSIDER_KIND,),
    sign="bullish if insiders bought; selling counts a quarter as much",
    looks_at=latest(INSIDER_KIND),
    shows=number_formats("insiders", "buyers", "sellers", at="last"),
    formula="(buyers - 0.25 * sellers) / (buyers + sellers)",
    absent="no trade by an insider in the past half-year",
    source=lambda inputs: "past half-year",
    after="the net purchase ratio of Lakonishok & Lee 2001, with insiders counted once a day and sales weighed less",
    evidence="Lakonishok & Lee 2001: purchases predict returns over months, and sales hardly do",
    inferred="how much less a sale counts",
)
"""Whether a company's insiders bought or sold its shares."""


_AMOUNT = re.compile(r"\d[\d,]{0,20}")
_LARGEST_USD = Decimal("1e12")
_SIGNS = {"buy": 1, "purchase": 1, "sell": -1, "sale": -1}


class CongressTrade(Fact, frozen=True):
    """One reported trade: `sign` is +1 for a purchase, -1 for a sale, 0 for an exchange or a gift.

    `ticker` is the source's spelling. `filed` is when the public could know of the trade, up to 45 days after it.
    `amount` is the middle of the reported range in USD, or its lower end if the range is open.
    """

    ticker: str
    filed: date
    sign: int
    amount: Decimal


class CongressFacts(NamedTuple):
    """How much of one symbol members of Congress bought and sold in `trades` trades, in USD; `filed` is the last
    filing.
    """

    bought_usd: float
    sold_usd: float
    trades: int
    filed: date


def _parse_congress(row: Row, symbol: str, at: datetime) -> CongressTrade:
    fields_of = {name: fields.text(row, name) for name in ("ticker", "txn_type", "amounts", "politician_id", "name")}
    filed, traded = fields.past_day(row, "filed_at_date", at), fields.past_day(row, "transaction_date", at)
    ticker = fields_of["ticker"].upper()
    who = f"{fields_of['politician_id']}/{fields_of['name']}"
    identity = f"{who}/{ticker}/{traded.isoformat()}/{filed.isoformat()}/{fields_of['txn_type']}/{fields_of['amounts']}"
    sign = _SIGNS.get(fields_of["txn_type"].split()[0].lower(), 0)
    return CongressTrade(identity, ticker, filed, sign, _amount(fields_of["amounts"]))


def _amount(text: str) -> Decimal:
    ends = [Decimal(digits.replace(",", "")) for digits in _AMOUNT.findall(text)[:2]]
    if not ends or not 0 < max(ends) <= _LARGEST_USD:
        raise fields.BadRowError("amounts is not a range of USD")
    return sum(ends, Decimal()) / len(ends)


def _condense_congress(trades: Sequence[CongressTrade]) -> Mapping[str, CongressFacts]:
    """Return the amounts bought and sold by ticker, ignoring transactions that are neither a purchase nor a sale."""
    by_ticker = defaultdict[str, list[CongressTrade]](list)
    for trade in trades:
        if trade.sign:
            by_ticker[trade.ticker].append(trade)
    return {ticker: _congress_facts(congress_trades) for ticker, congress_trades in by_ticker.items()}


def _congress_facts(trades: Sequence[CongressTrade]) -> CongressFacts:
    bought, sold = (fsum(float(trade.amount) for trade in trades if trade.sign == sign) for sign in (1, -1))
    return CongressFacts(bought, sold, len(trades), max(trade.filed for trade in trades))


CONGRESS_KIND = Kind(
    name="congress",
    unit="USD, the middle of the reported range",
    sign="purchases are bullish, sales bearish",
    absent="no trade was filed in the last 30 days",
    fact=CongressTrade,
    path="/api/congress/recent-trades",
    params={"limit": "200"},
    parse=_parse_congress,
    moment=lambda trade: trade.filed,
    condense=_condense_congress,
    poll_s=21_600,
    scope=ReplyScope.MARKET,
    changes=False,
    past_days=30,
    fields=parse_field_types(
        "text amounts filed_at_date member_type name politician_id reporter transaction_date txn_type, text? issuer "
        "notes ticker, boolean is_active"
    ),
    max_age_s=172_800,
    phase=Phase.ALWAYS,
)
"""Trades by members of the US Congress, as they are filed."""


SCALE_USD = 50_000
"""The amount in USD at which trades in one direction score one half, to damp small trades."""


def _trades(inputs: ScoringInputs) -> CongressFacts | None:
    return (CONGRESS_KIND.of(inputs.market) or {}).get(source_ticker(inputs.facts.symbol).upper())


CONGRESS_COMPONENT = ScoreComponent(
    name="congress",
    family="congress",
    reads=(CONGRESS_KIND,),
    sign="bullish if more was bought than sold",
    looks_at=_trades,
    shows={
        "trades": NumberFormat("trades"),
        "bought_usd": NumberFormat(USD, "filed"),
        "sold_usd": NumberFormat(USD, "filed"),
    },
    formula=f"(bought_usd - sold_usd) / (bought_usd + sold_usd + {SCALE_USD})",
    absent="no trade in it was filed in the last 30 days",
    source=count_of(_trades, "trades", "trades"),
    after="tradebot: net over gross trades; the scale damps a single small trade",
    inferred="the amount of a trade: only its range is reported, of which the middle counts",
    by_symbol=True,
)
"""Purchases and sales of members of Congress."""


class InstitutionalHolding(SymbolFact, frozen=True):
    """The change in shares of one institution's holding of a symbol in a quarter.

    `filed` is when the public could know of it, up to 45 days after the quarter.
    """

    filed: date
    change: int


class InstitutionalFacts(NamedTuple):
    """How many shares `holders` institutions bought and sold, according to filings up to `filed`."""

    bought: float
    sold: float
    holders: int
    filed: date


def _parse_institutional(row: Row, symbol: str, at: datetime) -> InstitutionalHolding:
    filed, reported = fields.past_day(row, "filing_date", at), fields.day(row, "report_date")
    identity = f"{fields.text(row, 'name')}/{reported.isoformat()}"
    return InstitutionalHolding(identity, symbol, filed, int(fields.number(row, "units_change")))


def _condense_institutional(changes: Sequence[tuple[date, int]]) -> InstitutionalFacts:
    bought, sold = (fsum(max(0, sign * change) for _, change in changes) for sign in (1, -1))
    return InstitutionalFacts(bought, sold, len(changes), max(filed for filed, _ in changes))


INSTITUTIONAL_KIND = Kind(
    name="institutional",
    unit="shares",
    sign="bought shares are bullish",
    absent="no filing of the last 100 days",
    fact=InstitutionalHolding,
    path="/api/institution/{}/ownership",
    params={"limit": "200", "order": "filing_date", "order_direction": "desc"},
    parse=_parse_institutional,
    moment=attrgetter("filed"),
    lean=attrgetter("filed", "change"),
    condense=_condense_institutional,
    past_days=100,
    fields=parse_field_types(
        "text filing_date name report_date, text? first_buy short_name, decimal? avg_price inst_share_value inst_value "
        "shares_outstanding value, integer units units_change, list historical_units people tags"
    ),
)
"""Changes in institutions' positions, as filed each quarter."""


_FILINGS = latest(INSTITUTIONAL_KIND)

INSTITUTIONAL_COMPONENT = ScoreComponent(
    name="institutional",
    family="institutions",
    reads=(INSTITUTIONAL_KIND,),
    sign="bullish if more shares were bought than sold",
    looks_at=_FILINGS,
    shows={**number_formats("shares", "bought", "sold", at="filed"), "holders": NumberFormat("institutions", "filed")},
    formula="(bought - sold) / (bought + sold) if bought + sold else 0",
    absent="no filing of the last 100 days",
    source=count_of(_FILINGS, "holders", "institutions"),
    after="tradebot: net over gross changes of the last filings",
)
"""Purchases and sales of institutions by their last filings."""
