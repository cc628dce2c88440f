"""The settings of the smart-money strategy. `config/profiles/smart_money.yaml` explains each one."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from tradebot.model.limits import Frozen, Seconds
from tradebot.signals.structures.bars import Smoothing
from tradebot.signals.structures.structures import StructureSettings as StructureNumbers
from tradebot.strategies.section_validation import SectionError, sentences

Share = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[Decimal, Field(ge=0, le=1)]
Exact = Annotated[Decimal, Field(gt=0, le=100)]
Count = Annotated[int, Field(ge=1, le=500)]
Strength = Annotated[float, Field(ge=0, le=100)]
Points = Annotated[int, Field(ge=0, le=100)]
Length = Annotated[int, Field(ge=2, le=500)]
Depth = Annotated[int, Field(ge=50, le=2000)]
Ratio = Annotated[Decimal, Field(ge=0, le=10)]
Ratios = Annotated[tuple[Ratio, ...], Field(min_length=1, max_length=10)]
Zone = tuple[Ratio, Ratio]


class SetupRegime(StrEnum):
    """The type of entry: in a nearby zone (tight), or in a move that is under way (wide)."""

    TIGHT = "tight_smc"
    WIDE = "wide_structure"


class BiasSettings(Frozen):
    """The direction of the daily bars: the close against its exponential moving average."""

    length: Length = 200
    band_fraction: Share = 0.001
    depth: Depth = 600
    min_depth: Depth = 250


class TimeframeStructureSettings(Frozen):
    """How to read structures from bars; a move's stop is beyond the extreme of the last `far_bars`."""

    timeframe: Literal["1Hour", "4Hour"] = "4Hour"
    depth: Depth = 600
    min_depth: Depth = 250
    impulse_multiple: Exact = Decimal("1.5")
    impulse_bars: Length = 20
    block_lookback_bars: Length = 50
    gap_min_fraction: Part = Decimal("0.0007")
    break_bars: Count = 3
    break_before_bars: Count = 7
    hold_fraction: Part = Decimal("0.005")
    confirming_bars: Count = 1
    confirming_bars_volatile: Count = 2
    volatile_multiple: Exact = Decimal("1.5")
    volatile_bars: Length = 20
    far_bars: Length = 20
    smoothing: Smoothing = Smoothing.EMA
    length: Length = 14

    @property
    def numbers(self) -> StructureNumbers:
        """Return the parameters of reading structures."""
        return StructureNumbers(
            impulse_multiple=self.impulse_multiple,
            impulse_bars=self.impulse_bars,
            block_lookback=self.block_lookback_bars,
            gap_minimum=self.gap_min_fraction,
            break_bars=self.break_bars,
            break_before=self.break_before_bars,
            hold_tolerance=self.hold_fraction,
            confirming_bars=self.confirming_bars,
            confirming_bars_volatile=self.confirming_bars_volatile,
            volatile_multiple=self.volatile_multiple,
            volatile_bars=self.volatile_bars,
            atr_length=self.length,
            smoothing=self.smoothing,
        )


class FibSettings(Frozen):
    """Fibonacci settings: the number of bars that form the range, the zone for entries, and the levels that count."""

    bars: Length = 100
    zone: Zone = (Decimal("0.618"), Decimal("0.786"))
    levels: Ratios = tuple(map(Decimal, ("0.236", "0.382", "0.5", "0.618", "0.786")))
    scored_levels: Ratios = tuple(map(Decimal, ("0.382", "0.5", "0.618", "0.786")))
    extensions: Ratios = tuple(map(Decimal, ("1.272", "1.618")))
    near_fraction: Part = Decimal("0.002")


class PlaceSettings(Frozen):
    """The price at which entry, stop and target are evaluated: the order's, or that of the setup's zone."""

    judges: Literal["price", "zone"] = "price"


class ChangeSettings(Frozen):
    """Whether a confirmed change of structure is required, and how far from its level an entry may be."""

    required: bool = False
    tolerance_fraction: Part = Decimal("0.015")
    atr_multiple: Exact = Decimal("0.3")
    max_tolerance_fraction: Part = Decimal("0.05")


class WeeklySettings(Frozen):
    """The effect on an entry outside the zone of the last weeks' range: nothing, fewer points, or a refusal."""

    rule: Literal["off", "points", "required"] = "off"
    weeks: Length = 20
    zone: Zone = (Decimal("0.618"), Decimal("0.786"))
    points: Points = 18


class RegimeRules(Frozen):
    """The requirements of a regime: points with the bias and without one, its stop, its target, and its holding time.

    The limits on a round trip's cost are fractions of its notional, or of the distance of its stop; null is no limit.
    """

    min_points: Points
    min_points_neutral: Points
    stop_atr_multiple: Exact
    min_reward: Exact
    hold_s: Seconds
    max_cost_fraction: Part | None
    max_cost_of_stop_fraction: Part | None
    max_funding_fraction: Part | None


class StopOutSettings(Frozen):
    """After how many recent losses the stop is placed farther away, and by how much."""

    within_s: Seconds = 86_400
    from_count: Annotated[int, Field(ge=1, le=20)] = 2
    multiple: Exact = Decimal("1.5")
    step: Annotated[Decimal, Field(ge=0, le=10)] = Decimal("0.25")
    max_multiple: Exact = Decimal(2)


class RestSettings(Frozen):
    """How long a coin pauses: after an entry, after a gain or a loss, and after several losses."""

    same_setup_s: Seconds = 2_700
    after_entry_s: Seconds = 3_600
    after_gain_s: Seconds = 900
    after_loss_s: Seconds = 7_200
    losses: Annotated[int, Field(ge=1, le=20)] = 3
    loss_fraction: Share = 0.005
    losses_within_s: Seconds = 86_400
    after_losses_s: Seconds = 43_200


class PointsSettings(Frozen):
    """The maximum points of each component of the score, which add up to 100, and the points for each threshold."""

    order_block: Points = 10
    gap: Points = 8
    break_of_structure: Points = 7
    fib: Points = 15
    fib_level: Points = 10
    fib_extension: Points = 5
    bias: Points = 20
    bias_neutral: Points = 10
    strength: Points = 15
    strengths: Mapping[int, Points] = {40: 15, 30: 12, 25: 10, 20: 7}
    cost: Points = 20
    costs_bps: Mapping[int, Points] = {10: 20, 20: 15, 30: 10, 50: 5}
    tolerance: Points = 5

    @model_validator(mode="after")
    def _are_a_hundred(self) -> "PointsSettings":
        total = sum(
            (self.order_block, self.gap, self.break_of_structure, self.fib, self.bias, self.strength, self.cost)
        )
        if total + self.tolerance != 100:
            raise ValueError(f"must add up to 100 with tolerance, not {total + self.tolerance}")
        most = {"fib": (self.fib_level, self.fib_extension), "bias": (self.bias_neutral,)}
        most |= {"strength": tuple(self.strengths.values()), "cost": tuple(self.costs_bps.values())}
        for name, maximum in most.items():
            if max(maximum, default=0) > getattr(self, name):
                raise ValueError(f"gives more points for a part of {name} than its maximum of {getattr(self, name)}")
        return self


TIGHT = RegimeRules(
    min_points=65,
    min_points_neutral=75,
    stop_atr_multiple=Decimal("0.225"),
    min_reward=Decimal(2),
    hold_s=21_600,
    max_cost_fraction=Decimal("0.0025"),
    max_cost_of_stop_fraction=None,
    max_funding_fraction=None,
)
WIDE = RegimeRules(
    min_points=60,
    min_points_neutral=70,
    stop_atr_multiple=Decimal("0.55"),
    min_reward=Decimal("1.5"),
    hold_s=129_600,
    max_cost_fraction=None,
    max_cost_of_stop_fraction=Decimal("0.15"),
    max_funding_fraction=Decimal("0.0015"),
)


class SmartMoneySettings(Frozen):
    """All settings of the strategy."""

    bias: BiasSettings = BiasSettings()
    structure: TimeframeStructureSettings = TimeframeStructureSettings()
    fib: FibSettings = FibSettings()
    place: PlaceSettings = PlaceSettings()
    change: ChangeSettings = ChangeSettings()
    weekly: WeeklySettings = WeeklySettings()
    points: PointsSettings = PointsSettings()
    tight: RegimeRules = TIGHT
    wide: RegimeRules = WIDE
    min_strength: Strength = 25.0
    consolidation_strength: Strength = 25.0
    stop_outs: StopOutSettings = StopOutSettings()
    rest: RestSettings = RestSettings()
    max_behind_s: Annotated[int, Field(ge=1, le=864_000)] = 120
    setups_need_a_block: bool = False
    variants: Mapping[str, Mapping[str, object]] = {}

    def variations(self) -> list[tuple[str, "SmartMoneySettings"]]:
        """Return the settings of each variant by name; raise ValueError if one is invalid."""
        return [(name, self._with(changes)) for name, changes in self.variants.items()]

    def variants_without_effect(self) -> Iterator[str]:
        """Yield the name of each variant that changes nothing."""
        own = self.model_copy(update={"variants": {}})
        return (name for name, settings in self.variations() if settings == own)

    def _with(self, changes: Mapping[str, object]) -> "SmartMoneySettings":
        values = self.model_dump(exclude={"variants"})
        for section, change in changes.items():
            whole = values.get(section)
            values[section] = {**whole, **change} if isinstance(whole, dict) and isinstance(change, Mapping) else change
        return SmartMoneySettings.model_validate(values)

    @model_validator(mode="after")
    def _fit_together(self) -> "SmartMoneySettings":
        for name, of in (("bias", self.bias), ("structure", self.structure)):
            if of.min_depth > of.depth:
                raise ValueError(f"{name}.min_depth {of.min_depth} is above {name}.depth {of.depth}")
        for name, bars, enough in (
            ("bias.length", self.bias.length, self.bias.min_depth),
            ("fib.bars", self.fib.bars, self.structure.min_depth),
        ):
            if bars > enough:
                raise ValueError(f"{name} {bars} needs that many bars, but min_depth {enough} allows fewer")
        for name, zone in (("fib.zone", self.fib.zone), ("weekly.zone", self.weekly.zone)):
            if zone[0] >= zone[1]:
                raise ValueError(f"{name} must be a lower and a higher level, not {zone[0]} and {zone[1]}")
        if self.stop_outs.multiple > self.stop_outs.max_multiple:
            multiple, most = self.stop_outs.multiple, self.stop_outs.max_multiple
            raise ValueError(f"stop_outs.multiple {multiple} is above stop_outs.max_multiple {most}")
        if mistakes := tuple(self._mistakes_in_variants()):
            raise SectionError(*mistakes)
        return self

    def _mistakes_in_variants(self) -> Iterator[str]:
        for name, changes in self.variants.items():
            where = f"variants.{name}"
            if "variants" in changes:
                yield f"{where}.variants: there is no such setting"
                continue
            if all(isinstance(change, Mapping) and not change for change in changes.values()):
                yield f"{where}: it changes nothing; write what it changes, such as {{fib: {{near_fraction: 0.005}}}}"
                continue
            try:
                self._with(changes)
            except ValidationError as invalid:
                yield from sentences(invalid, where)

    def rules_of(self, regime: SetupRegime) -> RegimeRules:
        return self.tight if regime is SetupRegime.TIGHT else self.wide
