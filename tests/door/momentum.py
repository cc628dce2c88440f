"""Momentum over half a year: hold the strongest symbols in equal weights, and look again once a month."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from tradebot.ports import BarNeed, Needs, StrategyView, Target


class Settings(BaseModel):
    """The settings under `strategies: {momentum: ...}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lookback: int = Field(126, ge=1, le=1000)
    top: int = Field(3, ge=1)


class MomentumStrategy:
    """Rank the universe by its return over the lookback, in sessions, and hold the best that didn't fall."""

    name = "momentum"
    times = "first session of month at open+5m for 3 sessions"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = Settings.model_validate(settings)
        self.needs = Needs(bars=(BarNeed("1Day", self._settings.lookback + 1),), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Target]:
        """Return an equal weight for each chosen symbol, and none for what else is held."""
        returns = {symbol: self._return(view, symbol) for symbol in view.universe}
        ranked = sorted(returns, key=lambda symbol: -returns[symbol])[: self._settings.top]
        chosen = [symbol for symbol in ranked if returns[symbol] >= 0]
        weight = Decimal(1) / len(chosen) if chosen else Decimal(0)
        known = dict.fromkeys((*view.universe, *view.lots))
        return [
            Target(symbol, weight=weight if symbol in chosen else Decimal(0))
            for symbol in known
            if symbol in chosen or symbol in view.lots
        ]

    def _return(self, view: StrategyView, symbol: str) -> float:
        closes = view.bars(symbol).close
        return closes[-1] / closes[-1 - self._settings.lookback] - 1
