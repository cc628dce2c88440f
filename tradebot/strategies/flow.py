"""The options-flow strategy: it gives each symbol a signed score made of named components, then applies its filters."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import repeat
from types import MappingProxyType

from tradebot.model.candidate import Candidate, Component, ComponentInputs, OptionContract, Side
from tradebot.model.decision import Decision
from tradebot.model.flow import FlowAlert
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, Open, StrategyView
from tradebot.signals.scoring import ScoreComponent, ScoringInputs
from tradebot.signals.subjects.alerts import AlertCounting, contracts_behind, counting, flow_now, sizes
from tradebot.strategies.filters import StrategyFilter
from tradebot.strategies.flow_settings import FlowSettings

SIDE, FAMILIES, CLUSTER = (
    StrategyFilter("side"),
    StrategyFilter("families", Unit.FAMILIES),
    StrategyFilter("cluster", Unit.ALERTS),
)
"""The filters, in the order in which they decide."""
SIDE_TAKEN = SIDE.answer(True, None)


class FlowStrategy:
    """Scores each symbol's flow and proposes a side to take. A component without a weight is off."""

    name = "flow"
    times = ""
    filter_settings: Mapping[str, Sequence[str]] = MappingProxyType(
        {
            SIDE.name: ("long_only",),
            FAMILIES.name: ("min_families", "min_family_contribution"),
            CLUSTER.name: ("min_cluster",),
        }
    )

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = FlowSettings.model_validate(settings)
        self._window = self._settings.window()
        self._cluster_window = timedelta(seconds=self._settings.cluster_window_s)
        self._weights = self._settings.components()
        # A component that follows another is no additional evidence.
        self._families = [None if part.follows else part.family for part in self._weights]
        # Most symbols have no score, and no family can agree with that.
        self._without_side = (self._side(0.0), *self._enough(0, 0))
        self.needs = Needs(facts=self._settings.kinds())

    def propose(self, view: StrategyView) -> Sequence[Open]:
        """Return one proposed entry per symbol of the universe, even if refused, largest score magnitude first."""
        return sorted(self._wants(view), key=lambda want: (-abs(want.score), want.symbol))

    def _wants(self, view: StrategyView) -> list[Open]:
        count = self._counting(view)
        market = self._scoring_inputs(view, "", count)
        scored_rows = [self._scoring_inputs(view, symbol, count) for symbol in view.universe]
        # One component after the other for all symbols, so that its data stays in the processor's cache.
        columns = [_column(component, weight, market, scored_rows) for component, weight in self._weights.items()]
        rows = zip(*columns, strict=True) if columns else repeat(())
        return list(map(self._want, scored_rows, rows))

    def inputs(self, view: StrategyView, symbol: str) -> tuple[ComponentInputs, ...]:
        scored = self._scoring_inputs(view, symbol, self._counting(view))
        return tuple(
            ComponentInputs(
                component.name,
                component.formula,
                tuple(component.inputs(scored)),
                component.absent if component.value(scored) is None else None,
                component.inferred,
            )
            for component in self._weights
        )

    def contracts(self, view: StrategyView, symbol: str, direction: int) -> tuple[OptionContract, ...]:
        return contracts_behind(self._scoring_inputs(view, symbol, self._counting(view)).alerts, direction)

    def _counting(self, view: StrategyView) -> AlertCounting:
        return counting(view.now, self._window)

    def _scoring_inputs(self, view: StrategyView, symbol: str, count: AlertCounting) -> ScoringInputs:
        facts = view.facts.get(symbol) or SymbolFacts(symbol)
        sector = view.sectors.get(symbol, "")
        return ScoringInputs(view.now, self._window.lookback, view.market, facts, sector, *flow_now(facts, count))

    def _want(self, inputs: ScoringInputs, components: tuple[Component, ...]) -> Open:
        score, coverage = weigh(components)
        decisions = self._decisions(score, components, self._cluster(inputs.alerts, score))
        passed = all(decision.passed for decision in decisions)
        return Open(
            inputs.facts.symbol,
            Side.BUY if score >= 0 else Side.SELL,
            score,
            coverage=coverage,
            components=components,
            decisions=decisions,
            # A score below the threshold needs no contracts, and there are many of those.
            contracts=contracts_behind(inputs.alerts, 1 if score > 0 else -1) if passed else (),
        )

    def filtered(self, candidate: Candidate) -> Candidate:
        """Return a recorded candidate with its filters evaluated again by these settings, without the options behind
        it.
        """
        sizes = (each.observed for each in candidate.decisions if each.about == CLUSTER.name)
        cluster = next((size for size in sizes if isinstance(size, int)), 0)
        decisions = self._decisions(candidate.score or 0.0, candidate.components, cluster)
        return replace(candidate, decisions=decisions, contracts=())

    def _cluster(self, alerts: Sequence[FlowAlert], score: float) -> int:
        """Return how many alerts in the score's direction came within the window; 0 without a direction."""
        return max(sizes(alerts, self._cluster_window, 1 if score > 0 else -1), default=0) if score else 0

    def _decisions(self, score: float, components: Sequence[Component], cluster: int) -> tuple[Decision, ...]:
        """Return the decisions of all filters, in their order."""
        if not score:
            return self._without_side
        least = self._settings.min_family_contribution
        families = len(agreeing(components, self._families, score, least))
        return self._side(score), *self._enough(families, cluster)

    def _side(self, score: float) -> Decision:
        """Refuse a score without a side, or with one that isn't traded."""
        if not score:
            return SIDE.answer(False, Reason.NO_DIRECTION, score)
        if score < 0 and self._settings.long_only:
            return SIDE.answer(False, Reason.LONG_ONLY, score, 0)
        return SIDE_TAKEN

    def _enough(self, families: int, cluster: int) -> tuple[Decision, Decision]:
        of_families, of_cluster = self._settings.min_families, self._settings.min_cluster
        return (
            FAMILIES.answer(families >= of_families, Reason.FAMILIES_TOO_FEW, families, of_families),
            CLUSTER.answer(cluster >= of_cluster, Reason.CLUSTER_TOO_SMALL, cluster, of_cluster),
        )


def weigh(components: Sequence[Component]) -> tuple[float, float]:
    """Return (score in -1..1, coverage in 0..1). An absent component's weight stays in the denominator."""
    # Use a single loop, because a pass weighs every symbol.
    total = covered = score = 0.0
    for part in components:
        weight, value = part.weight, part.value
        total += weight
        if value is not None:
            covered += weight
            score += value * weight
    return (score / total, covered / total) if total else (0.0, 0.0)


def agreeing(
    components: Sequence[Component], families: Sequence[str | None], score: float, least: float
) -> frozenset[str]:
    """Return the families whose contribution has the sign of the score and a magnitude of at least `least`.

    A family's contribution is the sum over its components; `families` has the family of each component in order, and a
    component without one doesn't count.
    """
    total = 0.0
    sums: dict[str, float] = {}
    for part, family in zip(components, families, strict=True):
        weight, value = part.weight, part.value
        total += weight
        if value and family is not None:
            sums[family] = sums.get(family, 0.0) + value * weight
    toward = total if score > 0 else -total
    return frozenset(name for name, added in sums.items() if (share := added / toward) > 0 and share >= least)


def _column(
    component: ScoreComponent, weight: float, market: ScoringInputs, rows: Sequence[ScoringInputs]
) -> Sequence[Component]:
    name, value, source = component.name, component.valuer(), component.source
    if component.market_wide:
        return [Component(name, value(market), weight, source(market))] * len(rows)
    return [Component(name, value(each), weight, source(each)) for each in rows]
