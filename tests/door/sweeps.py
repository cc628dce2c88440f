"""A flow strategy with its own signal: on which side of the market sweeps are bought."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from tradebot.ports import Component, Decision, Gate, Needs, Open, Reason, Side, StrategyView, Verdict


class Settings(BaseModel):
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
        self._settings = Settings.model_validate(settings)

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
