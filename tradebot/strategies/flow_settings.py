"""The settings of the flow strategy."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from tradebot.model.flow import FLOW_ALERTS, FlowWindow
from tradebot.model.limits import Frozen, Seconds, Tighter
from tradebot.model.text import counted
from tradebot.signals.components import checked_component, component_of
from tradebot.signals.scoring import ScoreComponent
from tradebot.strategies.filter_settings import FilterSettings

ComponentName = Annotated[str, AfterValidator(checked_component)]
Weight = Annotated[float, Field(ge=0, le=100)]

EARLIER_NAMES = {
    "strategies.flow.min_alert_premium_usd": "write strategies.flow.filters.min_premium, in USD as before",
    "strategies.flow.max_days_to_expiry": "write strategies.flow.filters.max_dte, in days as before",
    "strategies.flow.premium_scale_usd": (
        "flow is now measured against each symbol's own usual premium: remove it, or write "
        "strategies.flow.flow_scale_share"
    ),
}
"""Settings of earlier versions, and what to do about them."""


class FlowSettings(Frozen):
    """The settings of the flow strategy; config/base.yaml explains each one."""

    # A change to a setting that shapes scores raises some symbols and lowers others, so any change counts as looser.
    weights: Annotated[dict[ComponentName, Weight], Tighter.SAME]
    lookback_s: Annotated[Seconds, Tighter.SAME]
    filters: Annotated[FilterSettings, Tighter.SAME]
    flow_scale_share: Annotated[float, Field(gt=0, le=10), Tighter.SAME]
    min_trailing_sessions: Annotated[int, Field(ge=1, le=20), Tighter.HIGHER]
    min_families: Annotated[int, Field(ge=1, le=20), Tighter.HIGHER]
    min_family_contribution: Annotated[float, Field(ge=0, le=1), Tighter.HIGHER]
    cluster_window_s: Annotated[Seconds, Tighter.SAME]
    min_cluster: Annotated[int, Field(ge=1, le=1000), Tighter.HIGHER]
    long_only: Annotated[bool, Tighter.HIGHER]

    def components(self) -> Mapping[ScoreComponent, float]:
        return {component_of(name): weight for name, weight in self.weights.items() if weight}

    def kinds(self) -> frozenset[str]:
        """Return the kinds of facts that these components read; the strategy's own filters read the alerts."""
        return frozenset((FLOW_ALERTS, *(kind.name for component in self.components() for kind in component.reads)))

    def window(self) -> FlowWindow:
        """Return which alerts count toward the direction of flow, and against what."""
        return FlowWindow(
            timedelta(seconds=self.lookback_s),
            self.filters.filters(),
            self.flow_scale_share,
            self.min_trailing_sessions,
        )

    def contradictions(self) -> Iterator[str]:
        """Yield a message for each way in which the weights couldn't make a sound score."""
        weights = self.components()
        following = {part.name: weight for part, weight in weights.items() if part.follows}
        flow = next((weight for part, weight in weights.items() if part.name == "flow"), 0.0)
        if sum(following.values()) > flow:
            yield (
                "strategies.flow.weights: components that only strengthen or weaken flow weigh more together than it "
                f"does, {sum(following.values()):g} against {flow:g} ({', '.join(following)}): they could turn bullish "
                "flow into a bearish score; lower them, or raise flow"
            )
        families = {part.family for part in weights if not part.follows}
        if len(families) < self.min_families:
            known = f"{counted(len(families), 'family', 'families')} that have a weight ({', '.join(sorted(families))})"
            yield (
                f"strategies.flow.min_families {self.min_families} is more than the {known}: no entry could ever be "
                "made; lower it, or give other components a weight"
            )
