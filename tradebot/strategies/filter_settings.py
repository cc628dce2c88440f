"""The filters of the flow strategy as settings: which alerts count, by the source's own parameter names."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tradebot.model.flow import Filters
from tradebot.model.limits import Frozen
from tradebot.signals.filters import BOUNDED

Premium = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Days = Annotated[int, Field(ge=0, le=3660)]
Ratio = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
IssueType = Literal["Common Stock", "ETF", "ADR", "Index"]
Words = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class FilterSettings(Frozen):
    """Which alerts count; a filter that is null or left out is off.

    Premiums are in USD, sizes and volumes in contracts, `dte` is days to expiry, and `perc` are shares of an alert's
    premium, 0 to 1. A flag that is true asks for such alerts, and one that is false excludes them.
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
        for one, other in (("is_call", "is_put"), ("is_ask_side", "is_bid_side")):
            if getattr(self, one) and getattr(self, other):
                raise ValueError(f"no alert is both {one} and {other}; set one of them to null")
        return self

    def filters(self) -> Filters:
        return {name: value for name, value in self if value is not None}
