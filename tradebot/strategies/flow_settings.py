"""The settings of the flow strategy."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tradebot.model.flow import FLOW_ALERTS, Filters, FlowWindow
from tradebot.model.limits import Frozen, Seconds, Tighter
from tradebot.model.sentences import pluralize
from tradebot.signals.components import checked_component, component_of
from tradebot.signals.filters import BOUNDED
from tradebot.signals.scoring import ScoreComponent

Premium = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Days = Annotated[int, Field(ge=0, le=3660)]
Ratio = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
IssueType = Literal["Common Stock", "ETF", "ADR", "Index"]
Words = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class FilterSettings(Frozen):
    """Which alerts count; a filter that is null or left out is off.

    Premiums are in USD, sizes and volumes in contracts, `dte` is days to expiry, and names ending in perc are shares of
    an alert's premium, 0 to 1. A flag that is true selects such alerts, and one that is false excludes them.
    """

    min_premium: Premium | None = None
    max_premium: Premium | None = None
    min_dte: Days | None = None
    max_dte: Days | None = None
    min_size: Count | None = None
    max_size: Count | None = None
    min_volume: Count | None = None
    max_volume: Count | None = None
    min_open_interest: Count | None = None
    max_open_interest: Count | None = None
    min_volume_oi_ratio: Ratio | None = None
    max_volume_oi_ratio: Ratio | None = None
    min_ask_perc: Share | None = None
    max_ask_perc: Share | None = None
    min_bid_perc: Share | None = None
    max_bid_perc: Share | None = None
    all_opening: bool | None = None
    is_sweep: bool | None = None
    is_floor: bool | None = None
    is_multi_leg: bool | None = None
    is_ask_side: bool | None = None
    is_bid_side: bool | None = None
    is_call: bool | None = None
    is_put: bool | None = None
    is_otm: bool | None = None
    vol_greater_oi: bool | None = None
    size_greater_oi: bool | None = None
    issue_types: Annotated[list[IssueType], Field(min_length=1)] | None = None
    rule_name: Words | None = None

    @model_validator(mode="after")
    def _leave_something(self) -> "FilterSettings":
        for name in BOUNDED:
            least, most = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if None not in (least, most) and least > most:
                raise ValueError(f"min_{name} {least:g} is above max_{name} {most:g}")
        for flag, other in (("is_call", "is_put"), ("is_ask_side", "is_bid_side")):
            if getattr(self, flag) and getattr(self, other):
                raise ValueError(f"no alert is both {flag} and {other}; set one of them to null")
        return self

    def filters(self) -> Filters:
        return {name: value for name, value in self if value is not None}


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
"""Settings of earlier versions, with their replacements."""


class FlowSettings(Frozen):
    """The settings of the flow strategy; config/base.yaml explains each one."""

    # A change to how scores are computed raises some scores and lowers others, so any change counts as looser.
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
        """Return the kinds of facts that the components in use read, and the alerts, which the strategy's own filters
        read.
        """
        return frozenset((FLOW_ALERTS, *(kind.name for component in self.components() for kind in component.reads)))

    def window(self) -> FlowWindow:
        """Return which alerts count toward the direction of flow, and how they are scaled."""
        lookback, filters = timedelta(seconds=self.lookback_s), self.filters.filters()
        return FlowWindow(lookback, filters, self.flow_scale_share, self.min_trailing_sessions)

    def contradictions(self) -> Iterator[str]:
        """Yield a message if the weights could give a score of the wrong sign, or would never allow an entry."""
        weights = self.components()
        following = {part.name: weight for part, weight in weights.items() if part.follows}
        flow = next((weight for part, weight in weights.items() if part.name == "flow"), 0.0)
        if sum(following.values()) > flow:
            yield (
                "strategies.flow.weights: the weights of components that only strengthen or weaken flow add up to "
                f"{sum(following.values()):g}, more than flow's own {flow:g} ({', '.join(following)}): they could turn "
                "bullish flow into a bearish score; lower them, or raise flow"
            )
        families = {part.family for part in weights if not part.follows}
        if len(families) < self.min_families:
            weighted = (
                f"{pluralize(len(families), 'family', 'families')} that have a weight ({', '.join(sorted(families))})"
            )
            yield (
                f"strategies.flow.min_families {self.min_families} is more than the {weighted}: no entry could ever be "
                "made; lower it, or give other components a weight"
            )
