"""Dealers' gamma at the price of each minute."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from statistics import fmean
from typing import NamedTuple

from tradebot.model.kind import Kind, Phase, Row, SymbolFact, documented
from tradebot.signals import rows


class SpotExposure(SymbolFact, frozen=True):
    """What dealers have to trade, in USD, if the price moves by one percent, by open interest.

    It is positive if dealers are long gamma, and so trade against the move. The source assumes that dealers bought all
    calls and sold all puts.
    """

    at: datetime
    gamma: Decimal


class SpotGexFacts(NamedTuple):
    """Dealers' gamma at the last minute, and its mean magnitude over `minutes` of the session."""

    at: datetime
    gamma: float
    scale: float
    minutes: int


def _parse(row: Row, symbol: str, at: datetime) -> SpotExposure:
    when = rows.past_time(row, "time", at)
    return SpotExposure(when.isoformat(), symbol, when, rows.number(row, "gamma_per_one_percent_move_oi"))


def _condense(exposures: Sequence[tuple[datetime, float]]) -> SpotGexFacts:
    in_order = sorted(exposures)
    return SpotGexFacts(*in_order[-1], fmean(abs(gamma) for _, gamma in in_order), len(exposures))


KIND = Kind(
    name="spot_gex",
    unit="USD per one percent of the price",
    sign="positive if dealers are long gamma",
    absent="no exposure of this session",
    fact=SpotExposure,
    path="/api/stock/{}/spot-exposures",
    params={"date": date.isoformat},
    parse=_parse,
    moment=attrgetter("at"),
    lean=lambda exposure: (exposure.at, float(exposure.gamma)),
    condense=_condense,
    poll_s=1_800,
    fields=documented(
        "text time, decimal charm_per_one_percent_move_dir charm_per_one_percent_move_oi "
        "charm_per_one_percent_move_vol gamma_per_one_percent_move_dir gamma_per_one_percent_move_oi "
        "gamma_per_one_percent_move_vol vanna_per_one_percent_move_dir vanna_per_one_percent_move_oi "
        "vanna_per_one_percent_move_vol price"
    ),
    max_age_s=5_400,
    phase=Phase.OPEN,
)
