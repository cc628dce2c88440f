"""Net option premium of each sector."""

from datetime import date
from operator import attrgetter

from tradebot.model.kind import Kind, Phase, Scope, documented
from tradebot.signals.kinds import market_tide
from tradebot.signals.kinds.market_tide import TideTick

KIND: Kind[TideTick, TideTick, TideTick] = Kind(
    name="sector_tide",
    unit="USD of premium",
    sign="calls minus puts; positive is bullish",
    absent="no tick of this session",
    fact=TideTick,
    path="/api/market/{}/sector-tide",
    params={"date": date.isoformat},
    parse=market_tide.KIND.parse,
    moment=attrgetter("at"),
    condense=lambda ticks: max(ticks, key=attrgetter("at", "id")),
    poll_s=540,
    scope=Scope.SECTOR,
    fields=documented("text date timestamp, decimal net_call_premium net_put_premium, integer net_volume"),
    max_age_s=1_800,
    phase=Phase.OPEN,
)
