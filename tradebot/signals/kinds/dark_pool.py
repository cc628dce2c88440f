"""Off-exchange trades."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import mul
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Row, SymbolFact, documented
from tradebot.signals import rows

REGULAR_SETTLEMENT = (None, "regular", "regular_settlement")


class DarkPoolPrint(SymbolFact, frozen=True):
    """One off-exchange trade; premium is price x size in USD."""

    at: datetime
    price: Decimal
    size: int
    premium: Decimal
    bid: Decimal
    ask: Decimal

    @property
    def sign(self) -> int:
        """Return +1 above the midpoint of the quote, -1 below it, 0 on it."""
        above_bid, below_ask = self.price - self.bid, self.ask - self.price
        return (above_bid > below_ask) - (above_bid < below_ask)


class Prints(NamedTuple):
    """The session's prints in columns, oldest first; premiums in USD, signed so that positive is bullish."""

    at: tuple[datetime, ...]
    usd: tuple[float, ...]
    signed_usd: tuple[float, ...]


def _parse(row: Row, symbol: str, at: datetime) -> DarkPoolPrint:
    if row.get("canceled") is True:
        raise rows.BadRowError("canceled")
    if row.get("trade_settlement") not in REGULAR_SETTLEMENT:
        raise rows.BadRowError("settlement is not regular")
    price, bid, ask = (rows.positive(row, name) for name in ("price", "nbbo_bid", "nbbo_ask"))
    if bid > ask:
        raise rows.BadRowError("nbbo_bid is above nbbo_ask")
    size = rows.count(row, "size")
    # Several prints may share a tracking id, so size, price and the day's volume are part of the identity.
    identity = f"{rows.text(row, 'tracking_id')}/{size}/{price}/{rows.count(row, 'volume')}"
    when = rows.past_time(row, "executed_at", at)
    return DarkPoolPrint(identity, symbol, when, price, size, rows.positive(row, "premium"), bid, ask)


def _condense(prints: Sequence[tuple[datetime, float, int]]) -> Prints:
    """Return the prints in columns, oldest first: every pass sums up those of the lookback."""
    at, usd, signs = zip(*sorted(prints), strict=True)
    return Prints(at, usd, tuple(map(mul, usd, signs)))


KIND = Kind(
    name="dark_pool",
    unit="USD of premium",
    sign="above the midpoint of the quote is bullish, below it bearish",
    absent="no print of this session",
    fact=DarkPoolPrint,
    path="/api/darkpool/{}",
    params={"date": date.isoformat, "limit": "500"},
    parse=_parse,
    moment=lambda trade: trade.at,
    lean=lambda trade: (trade.at, float(trade.premium), trade.sign),
    condense=_condense,
    poll_s=540,
    changes=False,
    core=True,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=documented(
        "text ticker executed_at market_center, text? trade_settlement trade_code sale_cond_codes ext_hour_sold_codes, "
        "text?* trf_executed_at, decimal price premium nbbo_bid nbbo_ask, integer tracking_id size volume "
        "nbbo_bid_quantity nbbo_ask_quantity, boolean canceled"
    ),
)
