"""The price at which the options of each expiry would cost their writers least."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Request, Row
from tradebot.signals import rows


@dataclass(frozen=True, slots=True)
class MaxPain:
    """The max pain of one expiry in USD per share, as listed on a New York date."""

    id: str
    symbol: str
    listed: date
    expiry: date
    price: Decimal


class PainAt(NamedTuple):
    """The part of a max pain that decisions read."""

    listed: date
    expiry: date
    price: float


def _request(ticker: str, session: date) -> Request:
    return Request(f"/api/stock/{ticker}/max-pain", {"date": session.isoformat()})


def _parse(row: Row, symbol: str, at: datetime) -> MaxPain:
    expiry = rows.day(row, "expiry")
    return MaxPain(expiry.isoformat(), symbol, rows.new_york_day(at), expiry, rows.positive(row, "max_pain"))


def _condense(levels: Sequence[PainAt]) -> tuple[PainAt, ...]:
    """Return the newest list, the next expiry first."""
    newest = max(level.listed for level in levels)
    return tuple(sorted(level for level in levels if level.listed == newest))


KIND = Kind(
    name="max_pain",
    unit="USD per share",
    sign="bullish if it is above the price",
    absent="no list of this session",
    source="Unusual Whales, max pain",
    fact=MaxPain,
    request=_request,
    parse=_parse,
    moment=lambda level: level.listed,
    lean=lambda level: PainAt(level.listed, level.expiry, float(level.price)),
    condense=_condense,
    poll_s=86_400,
    fields={"expiry": "text", "max_pain": "decimal"},
    max_age_s=86_400,
    phase=Phase.MORNING,
)
