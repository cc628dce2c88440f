"""Off-exchange trades."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import mul
from typing import NamedTuple

from tradebot.model.flow import Direction
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
    def direction(self) -> Direction:
        """Return bullish above the midpoint of the quote, bearish below it, neutral on it."""
        above_bid, below_ask = self.price - self.bid, self.ask - self.price
        if above_bid == below_ask:
            return Direction.NEUTRAL
        return Direction.BULLISH if above_bid > below_ask else Direction.BEARISH


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
    lean=lambda trade: (trade.at, float(trade.premium), trade.direction.sign),
    condense=_condense,
    poll_s=540,
    changes=False,
    core=True,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=documented(
        "ticker text, tracking_id integer, executed_at text, trf_executed_at text?*, price decimal, size integer, "
        "volume integer, premium decimal, nbbo_bid decimal, nbbo_ask decimal, nbbo_bid_quantity integer, "
        "nbbo_ask_quantity integer, canceled boolean, market_center text, trade_settlement text?, trade_code text?, "
        "sale_cond_codes text?, ext_hour_sold_codes text?"
    ),
)
