"""A strategy for measurements: every five minutes it checks whether two averages of five-minute closes cross."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.exits.kinds.stops import StopLoss
from tradebot.exits.kinds.targets import ProfitTarget
from tradebot.model.candidate import Side
from tradebot.model.view import BarNeed, Close, Needs, Open, StrategyView, Want

FAST, SLOW = 10, 40
EXITS = (StopLoss(fraction=Decimal("0.01")), ProfitTarget(fraction=Decimal("0.02")))
"""The exits that close its positions besides its own."""


class Crossing:
    """Buys where the short average crosses above the long one, with a stop and a target; sells where it falls below."""

    name = "crossing"
    needs = Needs(bars=(BarNeed("5Min", SLOW + 1),), lots=True)
    times = ""

    def __init__(self, settings: Mapping[str, object]) -> None:
        assert not settings

    def propose(self, view: StrategyView) -> Sequence[Want]:
        """Return the buys and sells."""
        return [want for symbol in view.universe for want in self._wants(view, symbol)]

    def _wants(self, view: StrategyView, symbol: str) -> Sequence[Want]:
        before, now = self._leads(view, symbol)
        is_held = symbol in view.lots
        if now > 0 >= before and not is_held:
            return (Open(symbol, Side.BUY, 0.9, 1.0),)
        if now < 0 and is_held:
            return (Close(symbol, "crossed_down"),)
        return ()

    def _leads(self, view: StrategyView, symbol: str) -> tuple[float, float]:
        """Return by how much the short average was above the long one a bar ago, and is now."""
        closes = view.bars(symbol, "5Min").close
        return _lead(closes[:-1]), _lead(closes[1:])


class PandasCrossing(Crossing):
    """The same strategy with a pandas frame."""

    name = "crossing"

    def _leads(self, view: StrategyView, symbol: str) -> tuple[float, float]:
        closes = view.bars(symbol, "5Min").frame()["close"]
        lead = closes.rolling(FAST).mean() - closes.rolling(SLOW).mean()
        return float(lead.iloc[-2]), float(lead.iloc[-1])


def _lead(closes: Sequence[float]) -> float:
    return sum(closes[-FAST:]) / FAST - sum(closes) / len(closes)
