"""Dealers' gamma in the whole market, measured by the fund that tracks the S&P 500."""

from collections.abc import Sequence
from datetime import date

from tradebot.model.kind import Kind, Phase, Request, Scope
from tradebot.signals.kinds import greek_exposure
from tradebot.signals.kinds.greek_exposure import GreekExposure, SessionGex
from tradebot.signals.kinds.market_volatility import MARKET


def _request(ticker: str, session: date) -> Request:
    return greek_exposure.KIND.request(MARKET, session)


def _condense(exposures: Sequence[SessionGex]) -> SessionGex:
    """Return the last session's gamma."""
    return max(exposures)


KIND = Kind(
    name="market_gamma",
    unit="gamma",
    sign="positive if dealers are long gamma",
    absent="no exposure of the last week",
    source="Unusual Whales, greek exposure of SPY",
    fact=GreekExposure,
    request=_request,
    parse=greek_exposure.KIND.parse,
    moment=greek_exposure.KIND.moment,
    lean=greek_exposure.session_gex,
    condense=_condense,
    poll_s=86_400,
    scope=Scope.MARKET,
    past_days=7,
    fields=greek_exposure.KIND.fields,
    max_age_s=432_000,
    phase=Phase.MORNING,
)
