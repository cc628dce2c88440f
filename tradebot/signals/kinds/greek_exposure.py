"""Dealers' gamma at the end of each session."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from statistics import fmean
from typing import NamedTuple

from tradebot.model.kind import DayFact, Kind, Row, documented
from tradebot.signals import rows


class GreekExposure(DayFact, frozen=True):
    """Dealer gamma of one symbol at the end of one session; the source reports put gamma as negative."""

    call_gamma: Decimal
    put_gamma: Decimal


class GammaFacts(NamedTuple):
    """Dealers' gamma at the end of the last known session.

    `scale` is the mean magnitude over the `sessions` before it, None if there are none. `date` is that of the last one.
    """

    gex: float
    scale: float | None
    sessions: int
    date: date


def _parse(row: Row, symbol: str, at: datetime) -> GreekExposure:
    day = rows.past_day(row, "date", at)
    return GreekExposure(day.isoformat(), symbol, day, rows.number(row, "call_gamma"), rows.number(row, "put_gamma"))


def _condense(exposures: Sequence[tuple[date, float]]) -> GammaFacts:
    *earlier, (day, gex) = sorted(exposures)
    scale = fmean(abs(gamma) for _, gamma in earlier) if earlier else None
    return GammaFacts(gex, scale, len(earlier), day)


KIND = Kind(
    name="greek_exposure",
    unit="gamma",
    sign="positive if dealers are long gamma",
    absent="no exposure known",
    fact=GreekExposure,
    path="/api/stock/{}/greek-exposure",
    parse=_parse,
    lean=lambda exposure: (exposure.date, float(exposure.call_gamma + exposure.put_gamma)),
    condense=_condense,
    past_days=400,
    fields=documented(
        "text date, decimal call_gamma put_gamma call_delta put_delta call_charm put_charm call_vanna put_vanna"
    ),
)
