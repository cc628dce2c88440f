"""The options-flow strategy: it gives each symbol a signed score made of named components, then applies its filters."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from tradebot.limits import Frozen, Seconds, Tighter
from tradebot.model.candidate import Component, ComponentName, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.flow import Direction, Endpoint, FlowAlert, TideTick
from tradebot.model.inputs import ComponentInputs
from tradebot.model.needs import Needs
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.view import StrategyView
from tradebot.model.wants import Open
from tradebot.signals import cluster, features
from tradebot.strategies.flow_inputs import gather

Weight = Annotated[float, Field(ge=0, le=100)]


class FlowSettings(Frozen):
    """The settings of the flow strategy; config/base.yaml explains each one."""

    # A change to a setting that shapes scores raises some symbols and lowers others, so any change counts as looser.
    weights: Annotated[dict[ComponentName, Weight], Tighter.SAME]
    lookback_s: Annotated[Seconds, Tighter.SAME]
    min_alert_premium_usd: Annotated[float, Field(ge=0), Tighter.SAME]
    max_days_to_expiry: Annotated[int, Field(ge=0, le=3660), Tighter.SAME]
    cluster_window_s: Annotated[Seconds, Tighter.SAME]
    min_cluster: Annotated[int, Field(ge=1, le=1000), Tighter.HIGHER]
    premium_scale_usd: Annotated[float, Field(gt=0), Tighter.SAME]
    long_only: Annotated[bool, Tighter.HIGHER]


class FlowStrategy:
    """Scores each symbol's flow and proposes a side to take."""

    name = "flow"
    needs = Needs(facts=frozenset(Endpoint))
    times = ""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = FlowSettings.model_validate(settings)
        self._lookback = timedelta(seconds=self._settings.lookback_s)
        self._window = timedelta(seconds=self._settings.cluster_window_s)

    def propose(self, view: StrategyView) -> Sequence[Open]:
        """Return one want per symbol of the universe, refused ones included, largest score magnitude first."""
        tide = features.market_tide(self._ticks(view))
        wants = [self._want(view, symbol, tide) for symbol in view.universe]
        return sorted(wants, key=lambda want: (-abs(want.score), want.symbol))

    def inputs(self, view: StrategyView, symbol: str) -> tuple[ComponentInputs, ...]:
        """Return the inputs from which each component of a symbol's score is computed."""
        facts = view.facts.get(symbol) or SymbolFacts(symbol)
        alerts = self._alerts(view, facts)
        return gather(
            facts,
            alerts,
            self._ticks(view),
            view.now,
            lookback=self._lookback,
            premium_scale_usd=self._settings.premium_scale_usd,
            direction=_sign(self._flow(facts, alerts)),
        )

    def _ticks(self, view: StrategyView) -> Sequence[TideTick]:
        return features.recent_ticks(view.tide.ticks, view.now, self._lookback)

    def _alerts(self, view: StrategyView, facts: SymbolFacts) -> list[FlowAlert]:
        settings = self._settings
        return features.recent_alerts(
            facts, view.now, self._lookback, settings.min_alert_premium_usd, settings.max_days_to_expiry
        )

    def _flow(self, facts: SymbolFacts, alerts: Sequence[FlowAlert]) -> float | None:
        return features.flow(alerts, self._settings.premium_scale_usd) if facts.has_usable_alerts else None

    def _want(self, view: StrategyView, symbol: str, tide: float | None) -> Open:
        facts = view.facts.get(symbol) or SymbolFacts(symbol)
        alerts = self._alerts(view, facts)
        components = self._components(view, facts, alerts, tide)
        score, coverage = weigh(components)
        return Open(
            symbol,
            Side.BUY if score >= 0 else Side.SELL,
            score,
            coverage=coverage,
            components=components,
            decisions=(self._filter(alerts, score),),
        )

    def _components(
        self, view: StrategyView, facts: SymbolFacts, alerts: Sequence[FlowAlert], tide: float | None
    ) -> tuple[Component, ...]:
        flow = self._flow(facts, alerts)
        direction = _sign(flow)
        values = {
            ComponentName.FLOW: (flow, f"{len(alerts)} alerts"),
            ComponentName.DARK_POOL: (
                features.dark_pool(facts.prints, view.now, self._lookback),
                f"{len(facts.prints)} prints",
            ),
            ComponentName.MARKET_TIDE: (tide, f"{len(view.tide.ticks)} ticks"),
            ComponentName.GREEK_EXPOSURE: (
                features.greek_exposure(facts, direction),
                f"{facts.gex_sessions} earlier sessions",
            ),
            ComponentName.IV_RANK: (features.iv_rank(facts, direction), "last session"),
            ComponentName.OI_CHANGE: (features.oi_change(facts), f"{facts.oi_contracts} contracts"),
        }
        weights = self._settings.weights
        return tuple(Component(name, value, weights[name], source) for name, (value, source) in values.items())

    def _filter(self, alerts: Sequence[FlowAlert], score: float) -> Decision:
        if not score:
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.NO_DIRECTION, score, None)
        if score < 0 and self._settings.long_only:
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.LONG_ONLY, score, 0)
        direction = Direction.BULLISH if score > 0 else Direction.BEARISH
        size = cluster.largest(cluster.clusters(alerts, self._window), direction)
        enough = size >= self._settings.min_cluster
        verdict = Verdict.PASS if enough else Verdict.FAIL
        return Decision(
            Gate.STRATEGY,
            verdict,
            None if enough else Reason.CLUSTER_TOO_SMALL,
            size,
            self._settings.min_cluster,
        )


def _sign(flow: float | None) -> int:
    return 0 if not flow else (1 if flow > 0 else -1)


def weigh(components: Sequence[Component]) -> tuple[float, float]:
    """Return (score in -1..1, coverage in 0..1). The weight of an absent value stays in the denominator."""
    total = sum(component.weight for component in components)
    if not total:
        return 0.0, 0.0
    present = [(component.value, component.weight) for component in components if component.value is not None]
    return sum(value * weight for value, weight in present) / total, sum(weight for _, weight in present) / total
