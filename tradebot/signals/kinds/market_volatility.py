"""Volatility of the whole market, measured by the fund that tracks the S&P 500."""

from tradebot.model.kind import Scope
from tradebot.model.values import replace
from tradebot.signals.kinds import realized_volatility

MARKET = "SPY"
KIND = replace(
    realized_volatility.KIND,
    name="market_volatility",
    sign="none: the more, the more the market moves",
    path=realized_volatility.KIND.path.format(MARKET),
    scope=Scope.MARKET,
)
