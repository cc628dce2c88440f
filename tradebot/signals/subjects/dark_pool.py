"""Off-exchange trades."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from math import fsum
from operator import mul
from typing import NamedTuple

from tradebot.model.fact_kind import Kind, Phase, Row, SymbolFact, parse_field_types
from tradebot.signals import fields
from tradebot.signals.scoring import USD, NumberFormat, ScoreComponent, ScoringInputs, number_formats

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
        """Return +1 for a print above the midpoint of the quote, -1 for one below it, and 0 at the midpoint."""
        above_bid, below_ask = self.price - self.bid, self.ask - self.price
        return (above_bid > below_ask) - (above_bid < below_ask)


class Prints(NamedTuple):
    """The session's prints in columns, oldest first; premiums in USD, signed so that positive is bullish."""

    at: tuple[datetime, ...]
    usd: tuple[float, ...]
    signed_usd: tuple[float, ...]


def _parse_dark_pool(row: Row, symbol: str, at: datetime) -> DarkPoolPrint:
    if row.get("canceled") is True:
        raise fields.BadRowError("canceled")
    if row.get("trade_settlement") not in REGULAR_SETTLEMENT:
        raise fields.BadRowError("settlement is not regular")
    price, bid, ask = (fields.positive(row, name) for name in ("price", "nbbo_bid", "nbbo_ask"))
    if bid > ask:
        raise fields.BadRowError("nbbo_bid is above nbbo_ask")
    size = fields.count(row, "size")
    # Several prints may share a tracking id, so size, price and the day's volume are part of the identity.
    identity = f"{fields.text(row, 'tracking_id')}/{size}/{price}/{fields.count(row, 'volume')}"
    when = fields.past_time(row, "executed_at", at)
    return DarkPoolPrint(identity, symbol, when, price, size, fields.positive(row, "premium"), bid, ask)


def _condense_dark_pool(prints: Sequence[tuple[datetime, float, int]]) -> Prints:
    """Return the prints in columns, oldest first, because every pass adds up those within the lookback."""
    at, usd, signs = zip(*sorted(prints), strict=True)
    return Prints(at, usd, tuple(map(mul, usd, signs)))


DARK_POOL_KIND = Kind(
    name="dark_pool",
    unit="USD of premium",
    sign="above the midpoint of the quote is bullish, below it bearish",
    absent="no print of this session",
    fact=DarkPoolPrint,
    path="/api/darkpool/{}",
    params={"date": date.isoformat, "limit": "500"},
    parse=_parse_dark_pool,
    moment=lambda trade: trade.at,
    lean=lambda trade: (trade.at, float(trade.premium), trade.sign),
    condense=_condense_dark_pool,
    poll_s=540,
    changes=False,
    core=True,
    max_age_s=1_800,
    phase=Phase.OPEN,
    fields=parse_field_types(
        "text ticker executed_at market_center, text? trade_settlement trade_code sale_cond_codes ext_hour_sold_codes, "
        "text?* trf_executed_at, decimal price premium nbbo_bid nbbo_ask, integer tracking_id size volume "
        "nbbo_bid_quantity nbbo_ask_quantity, boolean canceled"
    ),
)
"""Off-exchange trades."""


class Counted:
    """The totals of the prints within the lookback, in USD; the net is positive if buyers paid above the midpoint.

    fsum rounds only once, at the end. Rounding at each step could push the mean slightly outside -1..1.
    """

    def __init__(self, prints: Prints, inputs: ScoringInputs) -> None:
        first = bisect_right(prints.at, inputs.now - inputs.lookback)
        self._usd, self._signed = prints.usd[first:], prints.signed_usd[first:]
        self.prints_known, self.prints_that_count = len(prints.at), len(self._usd)
        self.newest: datetime | None = prints.at[-1] if self._usd else None

    @cached_property
    def net(self) -> float:
        return fsum(self._signed)

    @cached_property
    def total(self) -> float:
        return fsum(self._usd)

    @cached_property
    def bullish(self) -> float:
        return fsum(usd for usd in self._signed if usd > 0)

    @cached_property
    def bearish(self) -> float:
        return fsum(-usd for usd in self._signed if usd < 0)

    @cached_property
    def neutral(self) -> float:
        return fsum(usd for usd, signed in zip(self._usd, self._signed, strict=True) if not signed)


def _count_prints(inputs: ScoringInputs) -> Counted | None:
    prints = DARK_POOL_KIND.of(inputs.facts.known)
    return Counted(prints, inputs) if prints else None


def _prints(inputs: ScoringInputs) -> str:
    prints = DARK_POOL_KIND.of(inputs.facts.known)
    return f"{len(prints.at) if prints else 0} prints"


DARK_POOL_COMPONENT = ScoreComponent(
    name="dark_pool",
    family="off_exchange",
    reads=(DARK_POOL_KIND,),
    sign="bullish if prints are above the midpoint of the quote",
    looks_at=_count_prints,
    shows={
        **number_formats(USD, "net", "total", "bullish", "bearish", "neutral", at="newest"),
        "prints_known": NumberFormat("prints"),
        "prints_that_count": NumberFormat("prints", "newest"),
    },
    formula="net / total",
    absent="no print within the lookback",
    source=_prints,
    after="Barber et al. 2024: trades signed by the midpoint of the quote",
    evidence="Boehmer, Jones, Zhang & Zhang 2021, of retail orders, which are filled off exchange, over days",
    inferred="who started a print: the source doesn't say",
)
"""The direction of recent off-exchange trades."""
