"""Volatility of the whole market, measured by the fund that tracks the S&P 500."""

from datetime import date

from tradebot.model.kind import Kind, Phase, Request, Scope
from tradebot.signals.kinds import realized_volatility
from tradebot.signals.kinds.realized_volatility import RealizedVolatility

MARKET = "SPY"


def _request(ticker: str, session: date) -> Request:
    return realized_volatility.KIND.request(MARKET, session)


KIND = Kind(
    name="market_volatility",
    unit="fraction a year",
    sign="none: the more, the more the market moves",
    absent="no volatility of the last week",
    source="Unusual Whales, realized volatility of SPY",
    fact=RealizedVolatility,
    request=_request,
    parse=realized_volatility.KIND.parse,
    moment=realized_volatility.KIND.moment,
    lean=realized_volatility.KIND.lean,
    condense=realized_volatility.condense,
    poll_s=86_400,
    scope=Scope.MARKET,
    past_days=7,
    fields=realized_volatility.KIND.fields,
    max_age_s=432_000,
    phase=Phase.MORNING,
)
