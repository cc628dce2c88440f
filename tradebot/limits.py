"""Every limit once, with the relations between them. A set that could trip or block itself does not load.

Fractions are of equity unless the name says otherwise; ages and waits are in seconds of trading time.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[Decimal, Field(gt=0, le=1)]
Seconds = Annotated[int, Field(gt=0, le=30 * 86_400)]
Usd = Annotated[Decimal, Field(gt=0, le=100_000_000)]


class Frozen(BaseModel):
    """A value that refuses unknown keys and changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Python counts true as 1; nobody who writes `max_open_positions: true` means one."""
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError("a number or a word is expected")
        return value


class Limits(Frozen):
    """What an entry may do to the book."""

    max_open_positions: Annotated[int, Field(ge=1, le=1000)]
    max_new_entries: Annotated[int, Field(ge=1, le=1000)]
    max_order_fraction: Fraction
    max_order_notional_usd: Usd
    min_order_notional_usd: Usd
    max_symbol_fraction: Fraction
    max_sector_fraction: Fraction
    max_gross_fraction: Annotated[Decimal, Field(gt=0, le=2)]
    max_daily_loss_fraction: Fraction
    cooldown_s: Seconds
    price_collar_fraction: Fraction
    limit_offset_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05"))]
    max_spread_fraction: Fraction
    max_quote_age_s: Seconds
    max_clock_skew_s: Seconds
    max_flow_age_s: Seconds
    max_reconcile_age_s: Seconds
    max_foreign_share: Fraction
    min_score: Annotated[float, Field(gt=0, le=1)]
    min_coverage: Annotated[float, Field(gt=0, le=1)]
    entry_life_s: Seconds
    exit_life_s: Seconds


class ExitRules(Frozen):
    """When a position is closed; fractions are of its entry price, the trailing one of its best price."""

    stop_loss_fraction: Fraction
    trailing_stop_fraction: Fraction
    trailing_arm_fraction: Fraction
    profit_target_fraction: Annotated[Decimal, Field(gt=0, le=10)]
    time_exit_s: Seconds
    limit_offset_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05"))]


def contradictions(limits: Limits, exits: ExitRules) -> Iterator[str]:
    """Yield, for each relation that does not hold, the scenario in which the limits work against each other."""
    yield from _nested_sizes(limits)
    if limits.max_new_entries > limits.max_open_positions:
        yield (
            f"max_new_entries {limits.max_new_entries} is above max_open_positions {limits.max_open_positions}: "
            "one cycle could never open what it may"
        )
    if limits.min_order_notional_usd >= limits.max_order_notional_usd:
        yield (
            f"min_order_notional_usd {limits.min_order_notional_usd} is not below max_order_notional_usd "
            f"{limits.max_order_notional_usd}: every order would be too small or too large"
        )
    yield from _stops_inside_daily_loss(limits, exits)
    if exits.trailing_arm_fraction >= exits.profit_target_fraction:
        yield (
            f"trailing_arm_fraction {exits.trailing_arm_fraction} is not below profit_target_fraction "
            f"{exits.profit_target_fraction}: the target closes first, so the trailing stop could never act"
        )


def _nested_sizes(limits: Limits) -> Iterator[str]:
    ladder = ("max_order_fraction", "max_symbol_fraction", "max_sector_fraction", "max_gross_fraction")
    for small, large in pairwise(ladder):
        if getattr(limits, small) > getattr(limits, large):
            yield (
                f"{small} {getattr(limits, small)} is above {large} {getattr(limits, large)}: "
                f"an order that passes {small} would always be refused by {large}"
            )


def _stops_inside_daily_loss(limits: Limits, exits: ExitRules) -> Iterator[str]:
    """The book at its largest, with every stop hit and slipped by its offset, must stay inside the day's loss."""
    worst = limits.max_gross_fraction * (exits.stop_loss_fraction + exits.limit_offset_fraction)
    if worst >= limits.max_daily_loss_fraction:
        yield (
            f"a full book (max_gross_fraction {limits.max_gross_fraction}) whose stops are all hit "
            f"(stop_loss_fraction {exits.stop_loss_fraction} + limit_offset_fraction {exits.limit_offset_fraction}) "
            f"loses {worst.normalize():f} of equity, not less than max_daily_loss_fraction "
            f"{limits.max_daily_loss_fraction}: "
            "filling its own budget would shut the bot"
        )
