"""How much dearer puts are than calls, equally far from the money, by session."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from statistics import fmean, median
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.kind import NEW_YORK, Kind, Row, documented
from tradebot.signals import rows
from tradebot.signals.expiries import monthly_after

_DELTA = 25


class RiskReversal(Struct, frozen=True):
    """Implied volatility of puts less that of calls, both with a delta of 0.25, in one session.

    A row doesn't say which expiry it is about. It is the monthly one that was asked for on that day.
    """

    id: str
    symbol: str
    expiry: date
    date: date
    skew: Decimal


class SessionSkew(NamedTuple):
    """The part of a risk reversal that decisions read: volatility of puts less that of calls, as a fraction."""

    expiry: date
    date: date
    skew: float


class SkewFacts(NamedTuple):
    """The last session's skew.

    `usual` is the median of the `sessions` before it, for the same expiry, and `spread` is their mean distance from it.
    Both are None if there are none.
    """

    skew: float
    usual: float | None
    spread: float | None
    sessions: int
    date: date


def _parse(row: Row, symbol: str, at: datetime) -> RiskReversal:
    day = rows.past_day(row, "date", at)
    if rows.number(row, "delta") not in (_DELTA, Decimal(_DELTA) / 100):
        raise rows.BadRowError("delta is not the one asked for")
    expiry = monthly_after(at.astimezone(NEW_YORK).date())
    identity = f"{expiry.isoformat()}/{day.isoformat()}"
    return RiskReversal(identity, symbol, expiry, day, rows.number(row, "risk_reversal"))


def _condense(skews: Sequence[SessionSkew]) -> SkewFacts:
    """Return the last session's skew and what was usual before it. Skew depends on the expiry, so only one counts."""
    newest = max(skew.expiry for skew in skews)
    *earlier, last = sorted(skew for skew in skews if skew.expiry == newest)
    if not earlier:
        return SkewFacts(last.skew, None, None, 0, last.date)
    usual = median(skew.skew for skew in earlier)
    return SkewFacts(last.skew, usual, fmean(abs(skew.skew - usual) for skew in earlier), len(earlier), last.date)


KIND = Kind(
    name="risk_reversal",
    unit="volatility as a fraction",
    sign="positive if puts are dearer than calls, which is bearish",
    absent="no skew known",
    source="Unusual Whales, historical risk reversal skew of the first monthly expiry in 17 days or more",
    fact=RiskReversal,
    path="/api/stock/{}/historical-risk-reversal-skew",
    params={"expiry": lambda session: monthly_after(session).isoformat(), "delta": str(_DELTA), "timeframe": "2M"},
    parse=_parse,
    lean=lambda reversal: SessionSkew(reversal.expiry, reversal.date, float(reversal.skew)),
    condense=_condense,
    past_days=62,
    fields=documented("date text, delta integer, risk_reversal decimal, ticker text"),
)
