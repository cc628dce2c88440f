"""All limits, and the direction in which each of them becomes tighter. `coherence` checks that they fit together.

Fractions are of equity unless the name says otherwise; ages and waits are in seconds of trading time. A strategy may
have its own limits, which count only where they are tighter than the account's.

A number is refused if people and parsers could read it differently.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum, StrEnum, auto
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, get_args

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints, create_model
from pydantic_core.core_schema import CoreSchema, no_info_before_validator_function

from tradebot.model.costs import CostModel
from tradebot.model.order import MARKETABLE, Execution
from tradebot.model.sentences import URL_PATTERN

_PLAIN_NUMBER = re.compile(r"\s*[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\s*", re.ASCII)


def no_switch(value: object) -> object:
    """Return the value unchanged; raise ValueError if it is a bool."""
    if isinstance(value, bool):
        raise ValueError("must be a number or a word")
    return value


def plain_numbers(value: object) -> object:
    """Return a number or a mapping to numbers unchanged; raise ValueError if one isn't written in plain digits."""
    for key, item in value.items() if isinstance(value, Mapping) else (("", value),):
        _require_plain(item, key and f" for {key}")
    return value


def of_numbers(annotation: object) -> bool:
    """Return True if a field holds a number or a mapping to numbers."""
    return annotation in (int, float, Decimal) or any(of_numbers(part) for part in get_args(annotation))


def _require_plain(value: object, where: str) -> None:
    """Refuse numbers that people and parsers read differently: 017, 1_000, 1e3, digits of other scripts."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number or a word{where}")
    if isinstance(value, str) and any(map(str.isdigit, value)) and not _PLAIN_NUMBER.fullmatch(value):
        raise ValueError(f"must be a number in plain digits{where}, such as 1000 or 0.25")


Fraction = Annotated[Decimal, Field(gt=0, le=1)]

Exposure = Annotated[Decimal, Field(gt=0, le=10)]

"""A fraction of equity. Above 1 it requires margin, and the venue's margin requirements limit it further."""

MOST_LENT = Decimal(4)

"""The largest exposure, as a multiple of equity, of an account that pays for purchases in full: on top of the equity,
stockbrokers lend at most three times as much, and only within a day.
"""

Seconds = Annotated[int, Field(gt=0, le=30 * 86_400)]

Url = Annotated[str, StringConstraints(pattern=URL_PATTERN)]

Milliseconds = Annotated[int, Field(gt=0, le=60_000)]

Ratio = Annotated[Decimal, Field(gt=0, le=100)]

Usd = Annotated[Decimal, Field(gt=0, le=100_000_000)]


class Tighter(Enum):
    """The direction in which a setting becomes tighter, and so safer. Each setting declares its direction, or its
    section declares one for all settings.
    """

    LOWER = auto()
    HIGHER = auto()
    """For a switch: true is tighter than false."""
    FEWER = auto()
    """For a list: fewer names are tighter; their order doesn't matter."""
    SAME = auto()
    """Neither direction is safer, so every change has to be accepted."""
    ALWAYS = auto()
    """The setting doesn't affect orders, so its changes needn't be accepted."""


class Counts(Enum):
    """When a changed setting takes effect.

    A setting or its whole section declares this if a reload isn't enough.
    """

    AT_START = auto()
    """From the next start of `serve` on."""


class Frozen(BaseModel):
    """Base model for settings: it refuses unknown keys and is immutable.

    It refuses booleans where a number is expected (Python counts true as 1), and numbers not in plain digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> CoreSchema:
        """Run each field's check before pydantic's own validation; a field_validator would be slower to set up."""
        schema = handler(source)
        if cls.__pydantic_complete__:
            return schema
        model: Any = handler.resolve_ref_schema(schema)
        while model["type"] != "model-fields":
            model = model["schema"]
        for name, field in model["fields"].items():
            annotation = cls.model_fields[name].annotation
            if not any(each is bool or isinstance(each, bool) for each in (annotation, *get_args(annotation))):
                # A missing value gets its default, so there is nothing to check.
                checked = field["schema"] if field["schema"]["type"] == "default" else field
                check = plain_numbers if of_numbers(annotation) else no_switch
                checked["schema"] = no_info_before_validator_function(check, checked["schema"])
        return schema


class Limits(Frozen):
    """Limits on entries and their effect on the book; an optional limit that is None is off.

    For a strategy, fractions are of its allotment of the equity, and counts are of its own entries and positions.
    """

    max_open_positions: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_new_entries: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_session_entries: Annotated[int, Field(ge=1, le=100_000), Tighter.LOWER]
    max_symbol_entries: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_orders_per_second: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    max_orders_per_minute: Annotated[int, Field(ge=1, le=10_000), Tighter.LOWER]
    duplicate_window_s: Annotated[Seconds, Tighter.HIGHER]
    max_order_fraction: Annotated[Exposure, Tighter.LOWER]
    max_order_notional_usd: Annotated[Usd, Tighter.LOWER]
    min_order_notional_usd: Annotated[Usd, Tighter.HIGHER]
    max_symbol_fraction: Annotated[Exposure, Tighter.LOWER]
    max_sector_fraction: Annotated[Exposure, Tighter.LOWER]
    max_gross_fraction: Annotated[Exposure, Tighter.LOWER]
    max_daily_loss_fraction: Annotated[Fraction, Tighter.LOWER]
    target_tolerance_fraction: Annotated[Fraction, Tighter.SAME]
    cooldown_s: Annotated[Seconds, Tighter.HIGHER]
    price_collar_fraction: Annotated[Fraction, Tighter.LOWER]
    price_jump_fraction: Annotated[Fraction, Tighter.LOWER]
    limit_offset_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05")), Tighter.LOWER]
    max_spread_fraction: Annotated[Fraction, Tighter.LOWER]
    max_slippage_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_quote_age_s: Annotated[Seconds, Tighter.LOWER]
    max_clock_skew_s: Annotated[Seconds, Tighter.LOWER]
    max_clock_disagreement_s: Annotated[Seconds, Tighter.LOWER]
    max_flow_age_s: Annotated[Seconds, Tighter.LOWER]
    max_candidate_age_s: Annotated[Seconds, Tighter.LOWER]
    max_decision_s: Annotated[Seconds, Tighter.LOWER]
    max_decision_ms: Annotated[Milliseconds | None, Tighter.LOWER]
    max_sending_ms: Annotated[Milliseconds | None, Tighter.LOWER]
    max_reconcile_age_s: Annotated[Seconds, Tighter.LOWER]
    max_foreign_share: Annotated[Fraction, Tighter.LOWER]
    min_score: Annotated[float, Field(gt=0, le=1), Tighter.HIGHER]
    min_coverage: Annotated[float, Field(gt=0, le=1), Tighter.HIGHER]
    entry_life_s: Annotated[Seconds, Tighter.LOWER]
    exit_life_s: Annotated[Seconds, Tighter.LOWER]
    max_theme_fraction: Annotated[Exposure | None, Tighter.LOWER]
    max_net_fraction: Annotated[Exposure | None, Tighter.LOWER]
    max_beta_fraction: Annotated[Exposure | None, Tighter.LOWER]
    max_concentration: Annotated[Fraction | None, Tighter.LOWER]
    max_risk_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_stop_loss_usd: Annotated[Usd | None, Tighter.LOWER]
    max_open_risk_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_basis_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_minute_move_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_minute_range_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_basis_shock_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_shocked_symbols: Annotated[Annotated[int, Field(ge=2, le=1000)] | None, Tighter.LOWER]
    shock_wait_s: Annotated[Annotated[int, Field(ge=60, le=86_400)] | None, Tighter.HIGHER]
    max_cost_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_cost_of_stop_fraction: Annotated[Fraction | None, Tighter.LOWER]
    max_funding_fraction: Annotated[Fraction | None, Tighter.LOWER]
    min_reward_ratio: Annotated[Ratio | None, Tighter.HIGHER]
    min_edge_ratio: Annotated[Ratio | None, Tighter.HIGHER]
    max_drawdown_fraction: Annotated[Fraction | None, Tighter.LOWER]
    min_equity_usd: Annotated[Usd | None, Tighter.HIGHER]
    max_loss_streak: Annotated[Annotated[int, Field(ge=2, le=100)] | None, Tighter.LOWER]
    loss_streak_wait_s: Annotated[Seconds | None, Tighter.HIGHER]
    loss_cooldown_s: Annotated[Seconds | None, Tighter.HIGHER]
    wash_sale_days: Annotated[Annotated[int, Field(ge=1, le=60)] | None, Tighter.HIGHER]
    max_margin_fraction: Annotated[Fraction | None, Tighter.LOWER]
    min_free_margin_fraction: Annotated[Fraction | None, Tighter.HIGHER]
    min_liquidation_fraction: Annotated[Fraction | None, Tighter.HIGHER]
    max_contracts: Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, Tighter.LOWER]
    max_order_contracts: Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, Tighter.LOWER]
    liquid_hours_only: Annotated[bool, Tighter.HIGHER]


OF_MARGIN = ("max_margin_fraction", "min_free_margin_fraction", "min_liquidation_fraction")

"""Limits that only an account with margin can have."""

OF_SHOCKS = (
    "max_minute_move_fraction", "max_minute_range_fraction", "max_basis_shock_fraction", "max_shocked_symbols",
    "shock_wait_s",
)  # fmt: skip

"""Limits on moves of prices, after which entries wait."""

OF_CONTRACTS = ("max_contracts", "max_order_contracts")

"""Limits that count units, regardless of their value."""

OF_THE_ACCOUNT = frozenset(
    {
        "price_jump_fraction",
        "max_decision_s",
        "max_decision_ms",
        "max_sending_ms",
        "entry_life_s",
        "exit_life_s",
        "max_drawdown_fraction",
        "min_equity_usd",
        "wash_sale_days",
        "liquid_hours_only",
        *OF_SHOCKS,
        *OF_MARGIN,
        *OF_CONTRACTS,
    }
)

"""Limits that apply only to the account: they are about prices and orders, regardless of the strategy, and about the
account's equity, margin and taxes.
"""

if TYPE_CHECKING:
    from tradebot.model.auction import AuctionRules

    class OwnLimits(Frozen):
        """A strategy's own limits: any of the account's limits; None where it sets none."""

else:
    OwnLimits = create_model(
        "OwnLimits",
        __base__=Frozen,
        __doc__="A strategy's own limits: any of the account's limits; one that isn't given is None.",
        **{
            name: (Annotated[(field.annotation | None, *field.metadata)], None)
            for name, field in Limits.model_fields.items()
            if name not in OF_THE_ACCOUNT
        },
    )

OF_EQUITY = ("max_order_fraction", "max_symbol_fraction", "max_sector_fraction", "max_gross_fraction")

"""Limits as fractions of equity, or for a strategy of its allotment. None may exceed the next one."""

OPTIONAL_OF_EQUITY = (
    "max_theme_fraction",
    "max_net_fraction",
    "max_beta_fraction",
    "max_risk_fraction",
    "max_open_risk_fraction",
)

"""Limits that may be off, as fractions of equity, or for a strategy of its allotment."""

COUNTS = ("max_new_entries", "max_orders_per_second", "max_orders_per_minute", "max_session_entries")

"""Limits on how many entries a pass, a second, a minute and a session may have. None may exceed the next one."""

SIZES = (
    ("max_theme_fraction", "max_gross_fraction"),
    ("max_net_fraction", "max_gross_fraction"),
    ("max_sector_fraction", "max_gross_fraction"),
    ("max_symbol_fraction", "max_sector_fraction"),
    ("max_symbol_fraction", "max_theme_fraction"),
    ("max_order_fraction", "max_symbol_fraction"),
    ("max_order_fraction", "max_net_fraction"),
    ("max_risk_fraction", "max_open_risk_fraction"),
)

"""Pairs of limits on exposure, or on losses at stops, of which the first must fit into the second."""

NESTED = (
    ("max_new_entries", "max_open_positions"),
    ("max_symbol_entries", "max_session_entries"),
    *reversed(tuple(pairwise(COUNTS))),
    *SIZES,
)

"""Pairs of limits of which the first must fit into the second, outer ones first."""

Number = Decimal | float | int


def strategy_limits(own: OwnLimits) -> dict[str, Number]:
    """Return the limits that a strategy sets for itself, by name."""
    return {name: value for name, value in own if value is not None}


def tightest(first: Limits, *others: Limits | OwnLimits) -> Limits:
    """Return the tightest value of each limit; `first` has all of them, the others may have some."""
    values = dict(first)
    for other in others:
        for name, value in other:
            if value is not None:
                values[name] = _tighter_of(name, values[name], value)
    return first.model_copy(update=values)


def in_force(account: Limits, own: OwnLimits, allotment: Decimal) -> Limits:
    """Return a strategy's effective limits: for each limit, the tighter of the account's and the strategy's own.

    A strategy's fractions are of its allotment, so the account's fractions of equity are converted: with half of the
    equity, a tenth of the account is a fifth of the allotment. If the strategy has no value of its own, the account's
    fraction also applies unconverted, as a fraction of the allotment.
    """
    shares = dict[str, Number]()
    for name in (*OF_EQUITY, *OPTIONAL_OF_EQUITY):
        own_value, wall = getattr(own, name), getattr(account, name)
        if wall is not None:
            # A strategy without an allotment has nothing to trade with; the configuration refuses that.
            shares[name] = min(wall if own_value is None else own_value, wall / allotment if allotment else wall)
    values = dict(tightest(account, own)) | shares
    for small, large in NESTED:
        if getattr(own, small) is None and None not in (values[small], values[large]):
            values[small] = min(values[small], values[large])
    return account.model_copy(update=values)


def without_effect(account: Limits, own: OwnLimits, allotment: Decimal) -> Iterator[str]:
    """Yield the names of a strategy's limits that have no effect because the account's are tighter."""
    effective = in_force(account, own, allotment)
    yield from (name for name, value in strategy_limits(own).items() if value != getattr(effective, name))


def _tighter_of(name: str, number: Number | None, other: Number) -> Number:
    if number is None:
        return other
    if Tighter.HIGHER in Limits.model_fields[name].metadata:
        return max(number, other)
    return min(number, other)


class Protection(StrEnum):
    """Who watches the stops and targets of positions.

    `venue`: they rest at the venue, which acts even if the bot isn't running. `bot`: nothing rests, and each exit pass
    checks the price. `both`: they rest, and the bot also acts when it sees the price.
    """

    VENUE = "venue"
    BOT = "bot"
    BOTH = "both"


class ExitRules(Frozen):
    """When to close a position. Fractions are of the entry price, except trailing_stop_fraction: of the best price.

    A stop at the venue is moved once it would move by more than `stop_step_fraction` of its price. Where targets rest
    apart from stops, a target may disappear although we didn't cancel it. It is placed again once the position is
    protected and at least `target_again_after_s` old, but at most once every `target_again_every_s`.
    """

    stop_loss_fraction: Fraction
    trailing_stop_fraction: Fraction
    trailing_arm_fraction: Fraction
    profit_target_fraction: Annotated[Decimal, Field(gt=0, le=10)]
    time_exit_s: Seconds
    limit_offset_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05"))]
    protection: Protection
    stop_step_fraction: Annotated[Decimal, Field(gt=0, le=Decimal("0.05"))]
    target_again_after_s: Annotated[int, Field(ge=0, le=86_400)]
    target_again_every_s: Seconds


class DisplacementRules(Frozen):
    """When a strategy's weakest position is closed for a clearly better candidate that lacks only room.

    A position whose gain or loss exceeds `gain_band_fraction` of its entry price isn't displaced. `score_advantage` is
    how much higher the magnitude of the candidate's score must be; it is at most 1. `max_per_pass` counts positions of
    one strategy, including those whose close hasn't filled.
    """

    enabled: Annotated[bool, Tighter.LOWER]
    min_age_s: Annotated[Seconds, Tighter.HIGHER]
    gain_band_fraction: Annotated[Fraction, Tighter.LOWER]
    score_advantage: Annotated[float, Field(gt=0, le=2), Tighter.HIGHER]
    # The books look back one day for displaced positions.
    cooldown_s: Annotated[int, Field(gt=0, le=86_400), Tighter.HIGHER]
    max_per_pass: Annotated[int, Field(ge=1, le=100), Tighter.LOWER]


class ApprovalRules(Frozen):
    """The approval of entries by a person: each entry that passed every gate waits up to `wait_s` seconds for it.

    If `wait_s` is None, no approval is needed. The order's price may be worse than the price shown by at most the
    fraction `max_worse_fraction`.
    """

    wait_s: Annotated[Annotated[int, Field(ge=30, le=86_400)] | None, Tighter.LOWER] = None
    max_worse_fraction: Annotated[Decimal, Field(ge=0, le=Decimal("0.05")), Tighter.LOWER] = Decimal("0.005")


class HaltRules(Frozen):
    """Conditions that halt the bot automatically.

    `daily_loss_fraction` is a fraction of the equity at the start of the day, and `drawdown_fraction` is a fraction of
    the highest equity. `rejects` is capped at five, so that under any configuration a runaway strategy is stopped after
    five rejected orders. `min_equity_usd`, `margin_fraction` (initial margin) and `maintenance_fraction` are off if
    None; the latter two are of equity and only apply to a margin account. `positions` is the number of positions at
    which the bot halts, and `symbol_fraction` the size of one of the bot's positions, as a fraction of equity; off if
    None.
    """

    daily_loss_fraction: Annotated[Fraction, Tighter.LOWER]
    drawdown_fraction: Annotated[Fraction, Tighter.LOWER]
    rejects: Annotated[int, Field(ge=2, le=5), Tighter.LOWER]
    unknowns: Annotated[int, Field(ge=2, le=100), Tighter.LOWER]
    storm_window_s: Annotated[int, Field(ge=60, le=86_400), Tighter.HIGHER]
    unreadable_rows: Annotated[int, Field(ge=1, le=1000), Tighter.LOWER]
    min_equity_usd: Annotated[Usd | None, Tighter.HIGHER]
    margin_fraction: Annotated[Fraction | None, Tighter.LOWER]
    maintenance_fraction: Annotated[Fraction | None, Tighter.LOWER]
    positions: Annotated[Annotated[int, Field(ge=1, le=1000)] | None, Tighter.LOWER]
    symbol_fraction: Annotated[Exposure | None, Tighter.LOWER]


class TargetBounds(Frozen):
    """Upper bounds of targets: fractions of the allotment in one symbol and in total, and the number of symbols."""

    symbol_fraction: Annotated[Decimal, Field(gt=0, le=10), Tighter.SAME]
    gross_fraction: Annotated[Decimal, Field(gt=0, le=10), Tighter.SAME]
    positions: Annotated[int, Field(ge=1, le=5000), Tighter.SAME]


class StrategyRules(Struct, frozen=True):
    """The configuration of one strategy.

    `limits` are the tighter of the account's and its own. Its fractions are of its allotment, which is a share of the
    account's equity. `times` says when it runs; if empty, the times in the strategy's code apply. `execution` says how
    its entries are sent. Without `displacement`, none of its positions is displaced. An answer whose targets exceed
    `wants` is refused. With `approval`, each entry waits for a person. With `auction`, its positions and candidates
    take part in an auction, whose rules are the same for all participants. `costs` are the assumed trading costs, or
    None.
    """

    universe: Sequence[str]
    limits: Limits
    allotment_fraction: Decimal = Decimal(1)
    times: str = ""
    execution: Execution = MARKETABLE
    displacement: DisplacementRules | None = None
    wants: TargetBounds | None = None
    approval: ApprovalRules | None = None
    auction: "AuctionRules | None" = None
    costs: CostModel | None = None
