"""The symbols that move the market's net option premium most."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from tradebot.model.kind import Fact, Kind, Phase, Scope, documented
from tradebot.signals import rows


class NetImpact(Fact, frozen=True):
    """The session's net option premium of one ticker (the source's spelling) in USD, when the source told us."""

    at: datetime
    net_premium: Decimal


class ImpactFacts(NamedTuple):
    """The net premium of one symbol in USD, and the largest magnitude among all that are listed."""

    at: datetime
    net_usd: float
    largest_usd: float


def _condense(impacts: Sequence[NetImpact]) -> Mapping[str, ImpactFacts]:
    """Return the last reply's list by ticker; who has left the list is no longer known."""
    newest = max(impact.at for impact in impacts)
    listed = [impact for impact in impacts if impact.at == newest]
    largest = max(abs(float(impact.net_premium)) for impact in listed)
    return {impact.id: ImpactFacts(newest, float(impact.net_premium), largest) for impact in listed}


KIND = Kind(
    name="top_net_impact",
    unit="USD of premium",
    sign="calls minus puts; positive is bullish",
    absent="no list of this session",
    fact=NetImpact,
    path="/api/market/top-net-impact",
    params={"date": date.isoformat, "limit": "50"},
    parse=lambda row, symbol, at: NetImpact(rows.text(row, "ticker").upper(), at, rows.number(row, "net_premium")),
    moment=attrgetter("at"),
    condense=_condense,
    poll_s=540,
    scope=Scope.MARKET,
    fields=documented("text ticker, number net_premium"),
    max_age_s=1_800,
    phase=Phase.OPEN,
)
