"""The price at which the options of each expiry would cost their writers least."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.kind import Kind, Row, SymbolFact, documented
from tradebot.signals import rows


class MaxPain(SymbolFact, frozen=True):
    """The max pain of one expiry in USD per share, as listed on a New York date."""

    listed: date
    expiry: date
    price: Decimal


class PainAt(NamedTuple):
    """The max pain of one expiry in USD per share."""

    expiry: date
    price: float


def _parse(row: Row, symbol: str, at: datetime) -> MaxPain:
    expiry = rows.day(row, "expiry")
    return MaxPain(expiry.isoformat(), symbol, rows.new_york_day(at), expiry, rows.positive(row, "max_pain"))


def _condense(levels: Sequence[tuple[date, PainAt]]) -> tuple[PainAt, ...]:
    newest = max(listed for listed, _ in levels)
    return tuple(sorted(level for listed, level in levels if listed == newest))


KIND = Kind(
    name="max_pain",
    unit="USD per share",
    sign="bullish if it is above the price",
    absent="no list of this session",
    fact=MaxPain,
    path="/api/stock/{}/max-pain",
    params={"date": date.isoformat},
    parse=_parse,
    moment=lambda level: level.listed,
    lean=lambda level: (level.listed, PainAt(level.expiry, float(level.price))),
    condense=_condense,
    fields=documented("text expiry, decimal max_pain"),
    max_age_s=86_400,
)
