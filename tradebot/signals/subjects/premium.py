"""Premium of all option trades of the session, including those without alerts."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import fsum
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.fact_kind import Fact, Kind, Phase, ReplyScope, Row, SymbolFact, parse_field_types
from tradebot.signals import fields
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, NumberFormat, ScoreComponent, ScoringInputs, number_formats, recent
from tradebot.signals.subjects.alerts import FLOW_READS, FlowShare


class NetPremTick(SymbolFact, frozen=True):
    """One minute of a symbol's option trades, not cumulative.

    Net premium is ask-side premium minus bid-side premium, in USD. The volumes on the ask side and on the bid side are
    in contracts.
    """

    at: datetime
    net_call_premium: Decimal
    net_put_premium: Decimal
    call_ask: int
    call_bid: int
    put_ask: int
    put_bid: int


class NetPremFacts(NamedTuple):
    """The totals of the session's minutes up to `at`.

    `ticks` is how many of them are known. `calls_usd` and `puts_usd` are the net premiums of all minutes, `gross_usd`
    the sum of the minutes' magnitudes. `bullish` are contracts bought as calls or sold as puts, `bearish` the reverse.
    """

    at: datetime
    ticks: int
    calls_usd: float
    puts_usd: float
    gross_usd: float
    bullish: int
    bearish: int


def _parse_net_prem_ticks(row: Row, symbol: str, at: datetime) -> NetPremTick:
    when = fields.past_time(row, "tape_time", at)
    calls, puts = fields.number(row, "net_call_premium"), fields.number(row, "net_put_premium")
    names = ("call_volume_ask_side", "call_volume_bid_side", "put_volume_ask_side", "put_volume_bid_side")
    return NetPremTick(when.isoformat(), symbol, when, calls, puts, *(fields.count(row, name) for name in names))


LeanTick = tuple[datetime, float, float, int, int]


def _lean_net_prem_ticks(tick: NetPremTick) -> LeanTick:
    """Return a minute's time, its signed premium in calls and in puts, and its bullish and bearish contracts."""
    calls, puts = float(tick.net_call_premium), float(tick.net_put_premium)
    return tick.at, calls, puts, tick.call_ask + tick.put_bid, tick.call_bid + tick.put_ask


def _condense_net_prem_ticks(ticks: Sequence[LeanTick]) -> NetPremFacts:
    at, calls, puts, bullish, bearish = zip(*ticks, strict=True)
    gross = fsum(abs(call) + abs(put) for call, put in zip(calls, puts, strict=True))
    return NetPremFacts(max(at), len(ticks), fsum(calls), fsum(puts), gross, sum(bullish), sum(bearish))


NET_PREM_TICKS_KIND = Kind(
    name="net_prem_ticks",
    unit="USD of premium, contracts",
    sign="calls at the ask and puts at the bid are bullish",
    absent="no tick of this session",
    fact=NetPremTick,
    path="/api/stock/{}/net-prem-ticks",
    params={"date": date.isoformat},
    parse=_parse_net_prem_ticks,
    moment=lambda tick: tick.at,
    lean=_lean_net_prem_ticks,
    condense=_condense_net_prem_ticks,
    poll_s=540,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=parse_field_types(
        "text date tape_time, decimal net_call_premium net_put_premium net_delta, integer call_volume "
        "call_volume_ask_side call_volume_bid_side put_volume put_volume_ask_side put_volume_bid_side net_call_volume "
        "net_put_volume"
    ),
)
"""Premium and volume of all option trades of a symbol, by the minute and by the side of the quote."""


NET_PREMIUM_COMPONENT = ScoreComponent(
    name="net_premium",
    family="options_flow",
    reads=(NET_PREM_TICKS_KIND,),
    sign="bullish if more premium bought calls and sold puts",
    looks_at=recent(NET_PREM_TICKS_KIND, "at"),
    shows={
        **number_formats(USD, "calls_usd", "puts_usd", "gross_usd", at="at"),
        "ticks": NumberFormat("minutes", "at"),
    },
    formula="clamp((calls_usd - puts_usd) / gross_usd, -1, 1) if gross_usd else 0",
    absent="no minute of this session known, or the last one is too old",
    source=lambda inputs: "this session",
    after="the source's net premium, over the sum of its magnitudes",
    evidence="Hu 2014: the order imbalance of a stock's options predicts its return of the next day",
)
"""The net premium of all of a symbol's option trades of the session."""


TOXICITY_COMPONENT = FlowShare(
    name="toxicity",
    reads=(NET_PREM_TICKS_KIND, *FLOW_READS),
    sign="against the flow if most contracts traded against it",
    looks_at=recent(NET_PREM_TICKS_KIND, "at"),
    shows={"bullish": NumberFormat("contracts", "at"), "bearish": NumberFormat("contracts", "at")},
    formula="flow * min(0, sign(flow) * (bullish - bearish) / (bullish + bearish)) if bullish + bearish else 0",
    absent="no direction of the flow, or no recent minute of this session known",
    source=lambda inputs: "this session",
    after="the volume imbalance of Easley, López de Prado & O'Hara 2012, signed by the side of the quote",
    inferred="that one-sided trading against the alerts makes them worth less",
)
"""Whether all of a symbol's option trades go against its alerts."""


class NetImpact(Fact, frozen=True):
    """The session's net option premium of one ticker (the source's spelling) in USD, at the time of the reply."""

    at: datetime
    net_premium: Decimal


class ImpactFacts(NamedTuple):
    """The net premium of one symbol in USD, and the largest magnitude among all listed symbols."""

    at: datetime
    net_usd: float
    largest_usd: float


def _condense_top_net_impact(impacts: Sequence[NetImpact]) -> Mapping[str, ImpactFacts]:
    """Return the last reply's list by ticker; a ticker that has left the list is unknown."""
    newest = max(impact.at for impact in impacts)
    listed = [impact for impact in impacts if impact.at == newest]
    largest = max(abs(float(impact.net_premium)) for impact in listed)
    return {impact.id: ImpactFacts(newest, float(impact.net_premium), largest) for impact in listed}


TOP_NET_IMPACT_KIND = Kind(
    name="top_net_impact",
    unit="USD of premium",
    sign="calls minus puts; positive is bullish",
    absent="no list of this session",
    fact=NetImpact,
    path="/api/market/top-net-impact",
    params={"date": date.isoformat, "limit": "50"},
    parse=lambda row, symbol, at: NetImpact(fields.text(row, "ticker").upper(), at, fields.number(row, "net_premium")),
    moment=attrgetter("at"),
    condense=_condense_top_net_impact,
    poll_s=540,
    scope=ReplyScope.MARKET,
    fields=parse_field_types("text ticker, number net_premium"),
    max_age_s=1_800,
    phase=Phase.OPEN,
)
"""The symbols that move the market's net option premium most."""


def _impact(inputs: ScoringInputs) -> ImpactFacts | None:
    listed = TOP_NET_IMPACT_KIND.of(inputs.market) or {}
    impact = listed.get(source_ticker(inputs.facts.symbol).upper())
    return impact if impact is not None and impact.at > inputs.now - inputs.lookback else None


TOP_NET_IMPACT_COMPONENT = ScoreComponent(
    name="top_net_impact",
    family="options_flow",
    reads=(TOP_NET_IMPACT_KIND,),
    sign="bullish if the symbol's net premium is in calls",
    looks_at=_impact,
    shows={"net_usd": NumberFormat(USD, "at"), "largest_usd": NumberFormat(USD, "at")},
    formula="net_usd / largest_usd if largest_usd else 0",
    absent="it isn't on the list, or the list is older than the lookback",
    source=lambda inputs: "on the list" if _impact(inputs) else "not on the list",
    after="tradebot: the net premium, divided by the largest one on the list",
    by_symbol=True,
)
"""The symbol's place among those that move the market's net option premium most."""
