"""All limits and the relations between them. Limits that could trip or block each other don't load.

Fractions are of equity unless the name says otherwise; ages and waits are in seconds of trading time.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum, auto
from functools import cache
from itertools import pairwise
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Fraction = Annotated[Decimal, Field(gt=0, le=1)]
Seconds = Annotated[int, Field(gt=0, le=30 * 86_400)]
Usd = Annotated[Decimal, Field(gt=0, le=100_000_000)]


class Tighter(Enum):
    """The direction in which a setting is safer. Each setting declares one, or its section declares one for all."""

    LOWER = auto()
    HIGHER = auto()
    """For a switch: true is tighter than false."""
    FEWER = auto()
    """For a list: fewer names are tighter; their order doesn't matter."""
    SAME = auto()
    """Neither direction is safer, so every change has to be accepted."""
    ALWAYS = auto()
    """The setting doesn't affect what is sent, so no change has to be accepted."""


_PLAIN_NUMBER = re.compile(r"\s*[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\s*", re.ASCII)


class Frozen(BaseModel):
    """Base model for settings: it refuses unknown keys and can't be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_plain(cls, value: object, info: ValidationInfo) -> object:
        """Refuse true and false if a number is expected (Python counts true as 1), and numbers not in plain digits."""
        is_switch, has_numbers = _kinds(cls)[info.field_name or ""]
        if isinstance(value, bool) and not is_switch:
            raise ValueError("must be a number or a word")
        if has_numbers:
            for key, item in value.items() if isinstance(value, Mapping) else (("", value),):
                _require_plain(item, key and f" for {key}")
        return value


@cache
def _kinds(model: type[BaseModel]) -> Mapping[str, tuple[bool, bool]]:
    """Return for each field whether it is a switch, and whether it holds a number or a mapping to numbers."""
    annotations = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: (annotation is bool, _of_numbers(annotation)) for name, annotation in annotations.items()}


def _of_numbers(annotation: object) -> bool:
    """Return True if a field holds a number or a mapping to numbers."""
    return annotation in (int, float, Decimal) or any(_of_numbers(part) for part in get_args(annotation))


def _require_plain(value: object, where: str) -> None:
    """Refuse numbers that people and parsers read differently: 017, 1_000, 1e3, digits of other scripts."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number or a word{where}")
    if isinstance(value, str) and any(map(str.isdigit, value)) and not _PLAIN_NUMBER.fullmatch(value):
        raise ValueError(f"must be a number in plain digits{where}, such as 1000 or 0.25")


class Limits(Frozen):
    """Limits on entries and what they may do to the book."""

    max_open_positions: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_new_entries: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_session_entries: Annotated[int, Field(ge=1, le=100_000), Tighter.LOWER]
    max_symbol_entries: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_orders_per_second: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_orders_per_minute: Annotated[int, Field(ge=1, le=10_000), Tighter.LOWER]
    duplicate_window_s: Annotated[Seconds, Tighter.HIGHER]
    max_order_fraction: Annotated[Fraction, Tighter.LOWER]
    max_order_notional_usd: Annotated[Usd, Tighter.LOWER]
    min_order_notional_usd: Annotated[Usd, Tighter.HIGHER]
    max_symbol_fraction: Annotated[Fraction, Tighter.LOWER]
    max_sector_fraction: Annotated[Fraction, Tighter.LOWER]
    max_gross_fraction: Annotated[Decimal, Field(gt=0, le=2), Tighter.LOWER]
    max_daily_loss_fraction: Annotated[Fraction, Tighter.LOWER]
    target_tolerance_fraction: Annotated[Fraction, Tighter.SAME]
    cooldown_s: Annotated[Seconds, Tighter.HIGHER]
    price_collar_fraction: Annotated[Fraction, Tighter.LOWER]
    price_jump_fraction: Annotated[Fraction, Tighter.LOWER]
    limit_offset_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05")), Tighter.LOWER]
    max_spread_fraction: Annotated[Fraction, Tighter.LOWER]
    max_quote_age_s: Annotated[Seconds, Tighter.LOWER]
    max_clock_skew_s: Annotated[Seconds, Tighter.LOWER]
    max_clock_disagreement_s: Annotated[Seconds, Tighter.LOWER]
    max_flow_age_s: Annotated[Seconds, Tighter.LOWER]
    max_candidate_age_s: Annotated[Seconds, Tighter.LOWER]
    max_reconcile_age_s: Annotated[Seconds, Tighter.LOWER]
    max_foreign_share: Annotated[Fraction, Tighter.LOWER]
    min_score: Annotated[float, Field(gt=0, le=1), Tighter.HIGHER]
    min_coverage: Annotated[float, Field(gt=0, le=1), Tighter.HIGHER]
    entry_life_s: Annotated[Seconds, Tighter.LOWER]
    exit_life_s: Annotated[Seconds, Tighter.LOWER]


class ExitRules(Frozen):
    """When to close a position. Fractions are of the entry price, except trailing_stop_fraction: of the best price."""

    stop_loss_fraction: Fraction
    trailing_stop_fraction: Fraction
    trailing_arm_fraction: Fraction
    profit_target_fraction: Annotated[Decimal, Field(gt=0, le=10)]
    time_exit_s: Seconds
    limit_offset_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05"))]


class HaltRules(Frozen):
    """What halts the bot by itself.

    daily_loss_fraction is of the equity at the start of the day, drawdown_fraction of the highest equity. `rejects` is
    capped at five, so that no configuration lets a runaway strategy bother the venue more often than that.
    """

    daily_loss_fraction: Annotated[Fraction, Tighter.LOWER]
    drawdown_fraction: Annotated[Fraction, Tighter.LOWER]
    rejects: Annotated[int, Field(ge=2, le=5), Tighter.LOWER]
    unknowns: Annotated[int, Field(ge=2, le=100), Tighter.LOWER]
    storm_window_s: Annotated[int, Field(ge=60, le=86_400), Tighter.HIGHER]
    unreadable_rows: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]


def contradictions(limits: Limits, exits: ExitRules) -> Iterator[str]:
    """Yield a scenario for each pair of limits that work against each other."""
    yield from _nested_sizes(limits)
    yield from _nested_counts(limits)
    if limits.max_new_entries > limits.max_open_positions:
        yield (
            f"max_new_entries {limits.max_new_entries} is above max_open_positions {limits.max_open_positions}: "
            "one pass could never open as many as it is allowed to"
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


def _nested_counts(limits: Limits) -> Iterator[str]:
    """Check that a pass's entries fit into a second's, a second's into a minute's, a minute's into a session's."""
    ladder = ("max_new_entries", "max_orders_per_second", "max_orders_per_minute", "max_session_entries")
    for small, large in pairwise(ladder):
        if getattr(limits, small) > getattr(limits, large):
            yield (
                f"{small} {getattr(limits, small)} is above {large} {getattr(limits, large)}: "
                f"{large} would stop a bot that sends as many as {small} allows"
            )
    if limits.max_symbol_entries > limits.max_session_entries:
        yield (
            f"max_symbol_entries {limits.max_symbol_entries} is above max_session_entries "
            f"{limits.max_session_entries}: no symbol could ever reach its own limit"
        )


def halts_by_itself(limits: Limits, exits: ExitRules, halts: HaltRules) -> Iterator[str]:
    """Yield each scenario in which a bot that respects all its limits would still halt itself.

    Entries stay open until the day has lost `max_daily_loss_fraction`. A full book opened just before that may lose as
    much as its stops allow on top. The sum must stay below the daily halt. The daily halt must in turn stay below the
    drawdown halt; otherwise one permitted day would trip a halt that no new day clears.
    """
    book = worst_loss(limits, exits)
    day = limits.max_daily_loss_fraction + book
    if day >= halts.daily_loss_fraction:
        yield (
            f"a day that has lost just less than max_daily_loss_fraction {limits.max_daily_loss_fraction} may open a "
            f"full book, whose stops and spreads can lose {book.normalize():f} more. That is {day.normalize():f} of "
            f"equity, not less than halts.daily_loss_fraction {halts.daily_loss_fraction}: filling its own budget "
            "would halt the bot"
        )
    if halts.daily_loss_fraction >= halts.drawdown_fraction:
        yield (
            f"a day that loses just less than halts.daily_loss_fraction {halts.daily_loss_fraction} is not halted, "
            f"but reaches halts.drawdown_fraction {halts.drawdown_fraction}: one permitted day would trip the "
            "drawdown halt, which no new day clears"
        )


def worst_loss(limits: Limits, exits: ExitRules) -> Decimal:
    """Return what a full book loses if every stop is hit at the widest spread and the largest offset.

    The result is a fraction of equity. A stop closer than an entry's own limit offset may be hit as the entry fills, so
    the larger of the two counts.
    """
    stop = max(exits.stop_loss_fraction, limits.limit_offset_fraction)
    return limits.max_gross_fraction * (stop + limits.max_spread_fraction + exits.limit_offset_fraction)


def _stops_inside_daily_loss(limits: Limits, exits: ExitRules) -> Iterator[str]:
    """Check that a full book with every stop hit, at the worst exit prices, loses less than the day's limit."""
    worst = worst_loss(limits, exits)
    if worst >= limits.max_daily_loss_fraction:
        stop = f"stop_loss_fraction {exits.stop_loss_fraction}"
        if exits.stop_loss_fraction < limits.limit_offset_fraction:
            stop = f"the entry's own limit_offset_fraction {limits.limit_offset_fraction}"
        yield (
            f"a full book (max_gross_fraction {limits.max_gross_fraction}) whose stops are all hit "
            f"({stop} + max_spread_fraction {limits.max_spread_fraction} + "
            f"limit_offset_fraction {exits.limit_offset_fraction}) loses {worst.normalize():f} of equity, "
            f"not less than max_daily_loss_fraction {limits.max_daily_loss_fraction}: "
            "filling its own budget would close entries"
        )
