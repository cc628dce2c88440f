"""Premium and volume of all option trades of a symbol, by the minute and by the side of the quote."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from math import fsum
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Row, SymbolFact, documented
from tradebot.signals import rows


class NetPremTick(SymbolFact, frozen=True):
    """One minute of a symbol's option trades: what was traded in it, not since the open.

    Net premium is that of the ask side less that of the bid side, in USD. Sides are in contracts.
    """

    at: datetime
    net_call_premium: Decimal
    net_put_premium: Decimal
    call_ask: int
    call_bid: int
    put_ask: int
    put_bid: int


class NetPremFacts(NamedTuple):
    """The session's `ticks` up to `at`.

    `calls_usd` and `puts_usd` are the net premiums of all minutes, `gross_usd` the sum of the minutes' magnitudes.
    `bullish` are contracts bought as calls or sold as puts, `bearish` the reverse.
    """

    at: datetime
    ticks: int
    calls_usd: float
    puts_usd: float
    gross_usd: float
    bullish: int
    bearish: int


def _parse(row: Row, symbol: str, at: datetime) -> NetPremTick:
    when = rows.past_time(row, "tape_time", at)
    calls, puts = rows.number(row, "net_call_premium"), rows.number(row, "net_put_premium")
    names = ("call_volume_ask_side", "call_volume_bid_side", "put_volume_ask_side", "put_volume_bid_side")
    return NetPremTick(when.isoformat(), symbol, when, calls, puts, *(rows.count(row, name) for name in names))


LeanTick = tuple[datetime, float, float, int, int]


def _lean(tick: NetPremTick) -> LeanTick:
    """Return when a minute was, its signed premium in calls and in puts, and its bullish and bearish contracts."""
    calls, puts = float(tick.net_call_premium), float(tick.net_put_premium)
    return tick.at, calls, puts, tick.call_ask + tick.put_bid, tick.call_bid + tick.put_ask


def _condense(ticks: Sequence[LeanTick]) -> NetPremFacts:
    at, calls, puts, bullish, bearish = zip(*ticks, strict=True)
    gross = fsum(abs(call) + abs(put) for call, put in zip(calls, puts, strict=True))
    return NetPremFacts(max(at), len(ticks), fsum(calls), fsum(puts), gross, sum(bullish), sum(bearish))


KIND = Kind(
    name="net_prem_ticks",
    unit="USD of premium, contracts",
    sign="calls at the ask and puts at the bid are bullish",
    absent="no tick of this session",
    fact=NetPremTick,
    path="/api/stock/{}/net-prem-ticks",
    params={"date": date.isoformat},
    parse=_parse,
    moment=lambda tick: tick.at,
    lean=_lean,
    condense=_condense,
    poll_s=540,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=documented(
        "text date tape_time, decimal net_call_premium net_put_premium net_delta, integer call_volume "
        "call_volume_ask_side call_volume_bid_side put_volume put_volume_ask_side put_volume_bid_side net_call_volume "
        "net_put_volume"
    ),
)
