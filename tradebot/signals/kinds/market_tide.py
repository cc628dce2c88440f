"""Net option premium of the whole market."""

from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter

from tradebot.model.kind import Fact, Kind, Phase, Row, Scope, documented
from tradebot.signals import rows


class TideTick(Fact, frozen=True):
    """Market-wide net option premium in USD, cumulative over the session and signed."""

    at: datetime
    net_call_premium: Decimal
    net_put_premium: Decimal
    net_volume: int


def _parse(row: Row, symbol: str, at: datetime) -> TideTick:
    when = rows.past_time(row, "timestamp", at)
    calls, puts = rows.number(row, "net_call_premium"), rows.number(row, "net_put_premium")
    return TideTick(when.isoformat(), when, calls, puts, int(rows.number(row, "net_volume")))


KIND: Kind[TideTick, TideTick, tuple[TideTick, ...]] = Kind(
    name="market_tide",
    unit="USD of premium",
    sign="calls minus puts; positive is bullish",
    absent="no tick of this session",
    fact=TideTick,
    path="/api/market/market-tide",
    params={"date": date.isoformat, "interval_5m": "true"},
    parse=_parse,
    moment=attrgetter("at"),
    condense=lambda ticks: tuple(sorted(ticks, key=attrgetter("at", "id"))),
    poll_s=240,
    scope=Scope.MARKET,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=documented("text timestamp date, decimal net_call_premium net_put_premium, integer net_volume"),
)
