"""Mean reversion on 5-minute bars: buy far below the mean of the last bars, sell far above it, close back at it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from tradebot.ports import BarNeed, Close, Decision, Gate, Needs, Open, Reason, Side, StrategyView, Verdict, Want

if TYPE_CHECKING:
    import pandas as pd


class Settings(BaseModel):
    """The settings under `strategies: {reversion: ...}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: int = Field(20, ge=2, le=1000)
    entry: float = Field(1.5, gt=0)
    stop_loss_fraction: Decimal = Field(Decimal("0.01"), gt=0, lt=1)


class ReversionStrategy:
    """Compare each close with the mean of its window, in standard deviations."""

    name = "reversion"
    times = "every 5m from open+5m until close-30m"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = Settings.model_validate(settings)
        self.needs = Needs(bars=(BarNeed("5Min", self._settings.window),), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Want]:
        """Return an entry, with its own stop and target, or a close for each symbol that says something."""
        if not view.universe:
            return ()
        closes = view.frame("close", "5Min")
        last, mean, deviation = closes.ffill().iloc[-1], closes.mean(), closes.std()
        scores = ((last - mean) / deviation.where(deviation > 0)).dropna()
        return [
            want for symbol in scores.index if (want := self._want(view, symbol, float(scores[symbol]), last, mean))
        ]

    def _want(self, view: StrategyView, symbol: str, score: float, last: "pd.Series", mean: "pd.Series") -> Want | None:
        held = view.lots.get(symbol)
        if held is not None:
            back = score * (1 if held.quantity > 0 else -1) >= 0
            return Close(symbol, f"back at the mean, {score:+.2f} deviations") if back else None
        far = abs(score) >= self._settings.entry
        verdict, reason = (Verdict.PASS, None) if far else (Verdict.FAIL, Reason.STRATEGY_DECLINED)
        target = abs(float(mean[symbol]) / float(last[symbol]) - 1)
        return Open(
            symbol,
            Side.BUY if score < 0 else Side.SELL,
            max(-1.0, min(1.0, -score / 4)),
            decisions=(Decision(Gate.STRATEGY, verdict, reason, abs(score), self._settings.entry),),
            stop_loss_fraction=self._settings.stop_loss_fraction,
            profit_target_fraction=Decimal(f"{target:.6f}") if target > 1e-6 else None,
        )
