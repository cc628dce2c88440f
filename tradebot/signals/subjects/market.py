"""The market as a whole: option premium, breadth, volatility, dealers, its regime, funds, and headlines."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from statistics import fmean
from typing import NamedTuple

from tradebot.model.fact_kind import AnyKind, DayFact, Fact, Kind, Phase, ReplyScope, Row, parse_field_types
from tradebot.model.struct_tools import replace
from tradebot.signals import fields
from tradebot.signals.fields import SOURCE_SECTORS
from tradebot.signals.scoring import USD, NumberFormat, ScoreComponent, ScoringInputs, count_of, latest
from tradebot.signals.subjects.open_interest import GREEK_EXPOSURE_KIND
from tradebot.signals.subjects.volatility import REALIZED_VOLATILITY_KIND


class TideTick(Fact, frozen=True):
    """Market-wide net option premium in USD, cumulative over the session and signed."""

    at: datetime
    net_call_premium: Decimal
    net_put_premium: Decimal
    net_volume: int


def _parse_market_tide(row: Row, symbol: str, at: datetime) -> TideTick:
    when = fields.past_time(row, "timestamp", at)
    calls, puts = fields.number(row, "net_call_premium"), fields.number(row, "net_put_premium")
    return TideTick(when.isoformat(), when, calls, puts, int(fields.number(row, "net_volume")))


MARKET_TIDE_KIND: Kind[TideTick, TideTick, tuple[TideTick, ...]] = Kind(
    name="market_tide",
    unit="USD of premium",
    sign="calls minus puts; positive is bullish",
    absent="no tick of this session",
    fact=TideTick,
    path="/api/market/market-tide",
    params={"date": date.isoformat, "interval_5m": "true"},
    parse=_parse_market_tide,
    moment=attrgetter("at"),
    condense=lambda ticks: tuple(sorted(ticks, key=attrgetter("at", "id"))),
    poll_s=240,
    scope=ReplyScope.MARKET,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=parse_field_types("text timestamp date, decimal net_call_premium net_put_premium, integer net_volume"),
)
"""Net option premium of the whole market."""


TIDE_FORMULA = "(calls - puts) / (abs(calls) + abs(puts)) if abs(calls) + abs(puts) else 0"


class MarketTide(NamedTuple):
    """The net premium of calls and of puts since the open, in USD, according to the last known tick."""

    calls: Decimal
    puts: Decimal
    ticks_known: int
    at: datetime
    id: str


def tide(ticks: Sequence[TideTick], inputs: ScoringInputs) -> MarketTide | None:
    """Return the totals of the last tick, or None if it is too old to count."""
    if not ticks or ticks[-1].at <= inputs.now - inputs.lookback:
        return None
    last = ticks[-1]
    return MarketTide(last.net_call_premium, last.net_put_premium, len(ticks), last.at, last.id)


def _ticks(inputs: ScoringInputs) -> Sequence[TideTick]:
    return MARKET_TIDE_KIND.of(inputs.market) or ()


MARKET_TIDE_COMPONENT = ScoreComponent(
    name="market_tide",
    family="market",
    reads=(MARKET_TIDE_KIND,),
    sign="bullish if the market's net premium is in calls",
    looks_at=lambda inputs: tide(_ticks(inputs), inputs),
    shows={
        "calls": NumberFormat(USD, "at", "id"),
        "puts": NumberFormat(USD, "at", "id"),
        "ticks_known": NumberFormat("ticks", "at"),
    },
    formula=TIDE_FORMULA,
    absent="no tick within the lookback",
    source=lambda inputs: f"{len(_ticks(inputs))} ticks",
    after="the source's net premium of the session so far, over the sum of its magnitudes",
)
"""The net option premium of the whole market."""


SECTOR_TIDE_KIND: Kind[TideTick, TideTick, TideTick] = Kind(
    name="sector_tide",
    unit="USD of premium",
    sign="calls minus puts; positive is bullish",
    absent="no tick of this session",
    fact=TideTick,
    path="/api/market/{}/sector-tide",
    params={"date": date.isoformat},
    parse=MARKET_TIDE_KIND.parse,
    moment=attrgetter("at"),
    condense=lambda ticks: max(ticks, key=attrgetter("at", "id")),
    poll_s=540,
    scope=ReplyScope.SECTOR,
    fields=parse_field_types("text date timestamp, decimal net_call_premium net_put_premium, integer net_volume"),
    max_age_s=1_800,
    phase=Phase.OPEN,
)
"""Net option premium of each sector."""


def _sector_tide(inputs: ScoringInputs) -> MarketTide | None:
    ticks = SECTOR_TIDE_KIND.of(inputs.market)
    tick: TideTick | None = ticks.get(SOURCE_SECTORS.get(inputs.sector)) if isinstance(ticks, dict) else None
    return tide([tick], inputs) if tick else None


SECTOR_TIDE_COMPONENT = ScoreComponent(
    name="sector_tide",
    family="market",
    reads=(SECTOR_TIDE_KIND,),
    sign="bullish if the sector's net premium is in calls",
    looks_at=_sector_tide,
    shows={"calls": NumberFormat(USD, "at", "id"), "puts": NumberFormat(USD, "at", "id")},
    formula=TIDE_FORMULA,
    absent="no tick within the lookback, or no sector that the source knows",
    source=lambda inputs: SOURCE_SECTORS.get(inputs.sector) or "no sector",
    after="as for the whole market: the net premium of the session so far, over the sum of its magnitudes",
)
"""The net option premium of the symbol's sector."""


class StockMove(Fact, frozen=True):
    """Whether one stock (the source's spelling of its ticker) is above (+1) or below (-1) its previous close."""

    date: date
    sign: int


def _parse_market_breadth(row: Row, symbol: str, at: datetime) -> StockMove:
    ticker, close, before = (
        fields.text(row, "ticker"),
        fields.positive(row, "close"),
        fields.positive(row, "prev_close"),
    )
    return StockMove(ticker.upper(), fields.past_day(row, "date", at), (close > before) - (close < before))


def _condense_market_breadth(moves: Sequence[tuple[date, int]]) -> float:
    """Return the share of rising stocks less that of falling ones on the last date, from -1 to 1."""
    newest = max(day for day, _ in moves)
    signs = [sign for day, sign in moves if day == newest]
    return sum(signs) / len(signs)


MARKET_BREADTH_KIND = Kind(
    name="market_breadth",
    unit="stocks of the S&P 500",
    sign="rising stocks are bullish",
    absent="no reply of this session",
    fact=StockMove,
    path="/api/screener/stocks",
    params={"is_s_p_500": "true", "date": date.isoformat},
    parse=_parse_market_breadth,
    lean=attrgetter("date", "sign"),
    condense=_condense_market_breadth,
    poll_s=1_800,
    scope=ReplyScope.MARKET,
    fields=parse_field_types(
        "text date ticker, text? er_time issue_type next_dividend_date next_earnings_date sector, decimal close "
        "prev_close, decimal? bearish_premium bullish_premium call_premium implied_move implied_move_perc iv30d "
        "iv30d_1d iv30d_1m iv30d_1w iv_rank marketcap net_call_premium net_put_premium put_call_ratio put_premium "
        "relative_volume volatility week_52_high week_52_low avg_3_day_call_volume avg_3_day_put_volume "
        "avg_7_day_call_volume avg_7_day_put_volume avg_30_day_call_volume avg_30_day_put_volume, integer? "
        "call_open_interest call_volume call_volume_ask_side call_volume_bid_side prev_call_oi prev_put_oi "
        "put_open_interest put_volume put_volume_ask_side put_volume_bid_side total_open_interest, boolean? is_index"
    ),
    max_age_s=5_400,
    phase=Phase.OPEN,
)
"""How many of the large stocks rise and how many fall."""


MARKET = "SPY"
MARKET_VOLATILITY_KIND = replace(
    REALIZED_VOLATILITY_KIND,
    name="market_volatility",
    sign="none: larger means that the market moves more",
    path=REALIZED_VOLATILITY_KIND.path.format(MARKET),
    scope=ReplyScope.MARKET,
)
"""Volatility of the whole market, measured by the fund that tracks the S&P 500."""


MARKET_GAMMA_KIND = replace(
    GREEK_EXPOSURE_KIND,
    name="market_gamma",
    absent="no exposure of the last week",
    path=GREEK_EXPOSURE_KIND.path.format(MARKET),
    scope=ReplyScope.MARKET,
    past_days=7,
)
"""Dealers' gamma in the whole market, measured by the fund that tracks the S&P 500."""


HIGH_VOLATILITY, LOW_VOLATILITY = 0.9, 0.5
"""The limits of high and low volatility: realized over a month, as a fraction a year."""
BROAD = 0.2
"""The share of rising stocks minus that of falling ones from which a move counts as broad."""
OLDEST_TICK = timedelta(hours=1)
REGIME_READS: tuple[AnyKind, ...] = (MARKET_VOLATILITY_KIND, MARKET_GAMMA_KIND, MARKET_BREADTH_KIND, MARKET_TIDE_KIND)
"""The kinds of facts that the regime is computed from. All are about the whole market, so they take one call each."""


class MarketState(NamedTuple):
    """The inputs of the market's regime at one moment.

    `volatility` is the annualized realized volatility, as a fraction. `breadth` is the share of rising stocks minus the
    share of falling stocks. `net_premium` is in USD.
    """

    volatility: float
    gamma: float
    breadth: float
    net_premium: float


def market_state(market: Mapping[str, object], now: datetime) -> MarketState | None:
    """Return the state of the market from the known facts; None if one is unknown, or if the last tick is too old."""
    volatility, gamma = MARKET_VOLATILITY_KIND.of(market), MARKET_GAMMA_KIND.of(market)
    breadth, ticks = MARKET_BREADTH_KIND.of(market), MARKET_TIDE_KIND.of(market)
    if volatility is None or volatility.realized is None or gamma is None or breadth is None or not ticks:
        return None
    last = ticks[-1]
    if last.at <= now - OLDEST_TICK:
        return None
    return MarketState(volatility.realized, gamma.gex, breadth, float(last.net_call_premium - last.net_put_premium))


def regime(state: MarketState) -> str:
    if state.volatility > HIGH_VOLATILITY and state.gamma < 0:
        return "high_vol_neg_gamma"
    if state.volatility < LOW_VOLATILITY and state.breadth > BROAD:
        return "low_vol_uptrend"
    if state.net_premium < 0 and state.breadth < -BROAD:
        return "downtrend_flow_heavy"
    return "mixed"


def _state(inputs: ScoringInputs) -> MarketState | None:
    return market_state(inputs.market, inputs.now)


REGIME_COMPONENT = ScoreComponent(
    name="regime",
    family="market",
    reads=REGIME_READS,
    sign="bullish in a calm and broad rise, bearish in a broad fall with bearish flow, otherwise neither",
    looks_at=_state,
    shows={
        "volatility": NumberFormat("a year"),
        "gamma": NumberFormat("gamma"),
        "breadth": NumberFormat("-1 to 1"),
        "net_premium": NumberFormat(USD),
    },
    formula=(
        f"0 if (volatility > {HIGH_VOLATILITY}) * (gamma < 0)"
        f" else 1 if (volatility < {LOW_VOLATILITY}) * (breadth > {BROAD})"
        f" else -1 if (net_premium < 0) * (breadth < -{BROAD}) else 0"
    ),
    absent="the market's volatility, gamma, breadth or net premium isn't known",
    source=lambda inputs: regime(state) if (state := _state(inputs)) else "unknown",
    after="the regimes of tradebot's predecessor, with measured inputs instead of constants",
)
"""The regime of the whole market."""


FUND_REACH = timedelta(days=60)
"""How far back data is fetched."""


class EtfFlow(DayFact, frozen=True):
    """The value of a fund's created shares minus its redeemed ones on one date, in USD."""

    change: Decimal


class EtfFlowFacts(NamedTuple):
    """A fund's flow on the last known date in USD.

    `scale_usd` is the mean magnitude over the `days` before it, or None if there are none.
    """

    date: date
    change_usd: float
    scale_usd: float | None
    days: int


def _parse_etf_flow(row: Row, symbol: str, at: datetime) -> EtfFlow:
    day = fields.past_day(row, "date", at)
    return EtfFlow(day.isoformat(), symbol, day, fields.number(row, "change_prem"))


def _condense_etf_flow(flows: Sequence[tuple[date, float]]) -> EtfFlowFacts:
    *earlier, (day, change_usd) = sorted(flows)
    scale = fmean(abs(usd) for _, usd in earlier) if earlier else None
    return EtfFlowFacts(day, change_usd, scale, len(earlier))


ETF_FLOW_KIND = Kind(
    name="etf_flow",
    unit="USD",
    sign="positive if money flowed in",
    absent="no flow of the last two months, or the symbol is no fund",
    fact=EtfFlow,
    path="/api/etfs/{}/in-outflow",
    params={"start_date": lambda session: (session - FUND_REACH).isoformat()},
    parse=_parse_etf_flow,
    lean=lambda flow: (flow.date, float(flow.change)),
    condense=_condense_etf_flow,
    scope=ReplyScope.FUND,
    past_days=60,
    fields=parse_field_types("text date, decimal change_prem close, integer change volume, boolean is_fomc"),
)
"""Money that flows into and out of funds."""


_FUND_FLOW = latest(ETF_FLOW_KIND)

ETF_FLOW_COMPONENT = ScoreComponent(
    name="etf_flow",
    family="fund_flow",
    reads=(ETF_FLOW_KIND,),
    sign="bearish if more money than usual flowed in, bullish if it flowed out",
    looks_at=_FUND_FLOW,
    shows={
        "change_usd": NumberFormat(USD, "date", "date"),
        "scale_usd": NumberFormat(USD),
        "days": NumberFormat("earlier days"),
    },
    formula="-clamp(change_usd / (2 * scale_usd), -1, 1)",
    absent="the symbol is no fund, or no flow is known to measure against",
    source=count_of(_FUND_FLOW, "days", "earlier days"),
    after="tradebot: the last flow, measured against the mean magnitude of two months",
    evidence="Brown, Davies & Ringgenberg 2021: funds with inflows return less, over a month",
)
"""Money that flows into a fund."""


_LONGEST_HEADLINE = 120
_RECENT = timedelta(hours=1)
_MOST = "100"


class Category(StrEnum):
    """The subject of a headline: the first category whose words it contains."""

    EARNINGS = "earnings"
    MACRO = "macro"
    MERGER = "merger"
    REGULATORY = "regulatory"
    OTHER = "other"


_WORDS = {
    Category.EARNINGS: r"earnings|eps|quarterly (results|profit|loss)|q[1-4] (results|revenue)|guidance",
    Category.MACRO: r"fed|federal reserve|fomc|ecb|central bank|rate (cut|hike)s?|"
    r"cpi|ppi|inflation|payrolls?|unemployment|jobless|gdp",
    Category.MERGER: r"merger|merges?|acquires?|acquisition|takeover|buyout",
    Category.REGULATORY: r"sec|fda|ftc|doj|antitrust|regulators?|regulatory|lawsuit|probe|fined?|sanctions?",
}
_PATTERNS = {category: re.compile(rf"\b({words})\b", re.IGNORECASE) for category, words in _WORDS.items()}


class Headline(Fact, frozen=True):
    """One headline: when it was published, and its category.

    Its id is the source's, or combines its time and its first words. Only the first version of an id is stored, so a
    time that the source corrects later changes nothing.
    """

    at: datetime
    category: Category


def category_of(headline: str) -> Category:
    return next((category for category, words in _PATTERNS.items() if words.search(headline)), Category.OTHER)


def _parse_news(row: Row, symbol: str, at: datetime) -> Headline:
    published, headline = fields.past_time(row, "created_at", at), fields.text(row, "headline")
    made_id = f"{published.isoformat()}/{headline[:_LONGEST_HEADLINE]}"
    return Headline(fields.text(row, "id") if "id" in row else made_id, published, category_of(headline))


def _date_by_arrival(headline: tuple[datetime, Category], known_at: datetime) -> tuple[datetime, Category]:
    """Return when a headline became news to us, which is when it arrived, unless it was over an hour old by then."""
    published, category = headline
    return known_at if known_at - published < _RECENT else published, category


def _condense_news(headlines: Sequence[tuple[datetime, Category]]) -> Mapping[Category, tuple[datetime, ...]]:
    """Return when headlines of each category became news to us, oldest first."""
    return {each: tuple(sorted(at for at, category in headlines if category is each)) for each in Category}


NEWS_KIND = Kind(
    name="news",
    unit="headlines",
    sign="none: they are only counted",
    absent="no headline of today or yesterday",
    fact=Headline,
    path="/api/news/headlines",
    params={"limit": _MOST},
    parse=_parse_news,
    moment=attrgetter("at"),
    lean=attrgetter("at", "category"),
    at_arrival=_date_by_arrival,
    condense=_condense_news,
    poll_s=int(timedelta(minutes=5).total_seconds()),
    max_age_s=int(_RECENT.total_seconds()),
    scope=ReplyScope.MARKET,
    phase=Phase.ALWAYS,
    changes=False,
    past_days=1,
    fields=parse_field_types(
        "text created_at headline source, text? sentiment, boolean is_major, object? meta, list tags tickers"
    ),
)
"""Headlines about the market, counted by subject."""
