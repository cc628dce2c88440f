"""The settings of the flow strategy."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from tradebot.limits import Frozen, Seconds, Tighter
from tradebot.model.flow import FLOW_ALERTS
from tradebot.signals.components import checked_component, component_of
from tradebot.signals.scoring import ScoreComponent

ComponentName = Annotated[str, AfterValidator(checked_component)]
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

    def components(self) -> Mapping[ScoreComponent, float]:
        """Return the components that are in use, with their weights."""
        return {component_of(name): weight for name, weight in self.weights.items() if weight}

    def kinds(self) -> frozenset[str]:
        """Return the kinds of facts that these components read; the strategy's own filters read the alerts."""
        return frozenset((FLOW_ALERTS, *(kind.name for component in self.components() for kind in component.reads)))
