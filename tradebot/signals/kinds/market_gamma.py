"""Dealers' gamma in the whole market, measured by the fund that tracks the S&P 500."""

from tradebot.model.kind import Scope
from tradebot.model.values import replace
from tradebot.signals.kinds import greek_exposure
from tradebot.signals.kinds.market_volatility import MARKET

KIND = replace(
    greek_exposure.KIND,
    name="market_gamma",
    absent="no exposure of the last week",
    path=greek_exposure.KIND.path.format(MARKET),
    scope=Scope.MARKET,
    past_days=7,
)
