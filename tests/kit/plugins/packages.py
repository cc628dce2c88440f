"""Three strategies that other people might write, each as its package would bring it.

Momentum over half a year holds the strongest symbols in equal weights, and looks again once a month.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from tradebot.ports import (
    BarNeed,
    Close,
    Component,
    Decision,
    Gate,
    Needs,
    Open,
    Reason,
    Side,
    StrategyView,
    Target,
    Verdict,
    Want,
)

# A flow strategy with its own signal: on which side of the market sweeps are bought.


class SweepsSettings(BaseModel):
    """The settings under `strategies: {sweeps: ...}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lookback_s: int = Field(3600, gt=0)
    min_premium_usd: float = Field(100_000, gt=0)


class SweepsStrategy:
    """Score each symbol by the premium of recent sweeps: bullish less bearish, over both."""

    name = "sweeps"
    times = ""
    needs = Needs(facts=frozenset({"flow_alerts"}))

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = SweepsSettings.model_validate(settings)

    def propose(self, view: StrategyView) -> Sequence[Open]:
        """Return a want per symbol, declined ones included."""
        return [self._want(view, symbol) for symbol in view.universe]

    def _want(self, view: StrategyView, symbol: str) -> Open:
        since = view.now - timedelta(seconds=self._settings.lookback_s)
        facts = view.facts[symbol]
        sweeps = [alert for alert in facts.alerts if alert.has_sweep and alert.at > since]
        net = float(sum(alert.net_premium for alert in sweeps))
        gross = float(sum(alert.ask_premium + alert.bid_premium for alert in sweeps))
        score, least = (net / gross if gross else 0.0), self._settings.min_premium_usd
        passed = gross >= least
        return Open(
            symbol,
            Side.BUY if score >= 0 else Side.SELL,
            score,
            1.0 if facts.has_usable_alerts else 0.0,
            (Component("sweeps", score, 1.0, f"{len(sweeps)} sweeps"),),
            (
                Decision(
                    Gate.STRATEGY,
                    Verdict.PASS if passed else Verdict.FAIL,
                    None if passed else Reason.STRATEGY_DECLINED,
                    gross,
                    least,
                ),
            ),
        )


# Mean reversion on 5-minute bars: buy far below the mean of the last bars, sell far above it, close back at it.

if TYPE_CHECKING:
    import pandas as pd


class ReversionSettings(BaseModel):
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
        self._settings = ReversionSettings.model_validate(settings)
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
