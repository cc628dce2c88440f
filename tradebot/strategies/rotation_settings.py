"""The settings of the rotation strategy, and what it may want by them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import Struct
from pydantic import Field, StringConstraints, ValidationError, model_validator

from tradebot.model.limits import Frozen, OwnLimits, Wanted
from tradebot.model.text import SYMBOL_PATTERN, expected
from tradebot.strategies.wanting import Wanting

Symbol = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN)]
Sessions = Annotated[int, Field(ge=1, le=1000)]

SECTOR_FUNDS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE")
"""The funds of the eleven sectors of the S&P 500."""


class Regime(StrEnum):
    """Which way the market goes, as the rule of `RegimeSettings` reads it."""

    BULL = "bull"
    BEAR = "bear"


class RegimeSettings(Frozen):
    """In which regime the strategy holds anything at all, and how the regime is read from a fund of the whole market.

    A close above its average is a bull market, and one below it a bear market. Within `band_fraction` of the average,
    the sign of the return over `momentum_sessions` decides.
    """

    only: Regime
    symbol: Symbol = "SPY"
    average_sessions: Sessions = 200
    band_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    momentum_sessions: Sessions = 126

    @property
    def depth(self) -> int:
        return max(self.average_sessions, self.momentum_sessions + 1)


class RotationSettings(Frozen):
    """What is ranked, how many of it are held, and when nothing is done; config/base.yaml explains each setting."""

    ranked: Annotated[tuple[Symbol, ...], Field(min_length=1, max_length=500)] = SECTOR_FUNDS
    defensive: Symbol | None = "TLT"
    lookback_sessions: Sessions = 126
    top: Annotated[int, Field(ge=1, le=500)] = 3
    min_momentum: Annotated[float, Field(ge=-1, le=10)] = 0.0
    leverage: Annotated[Decimal, Field(gt=0, le=4)] = Decimal("1.25")
    min_ranked: Annotated[int, Field(ge=1, le=500)] | None = None
    regime: RegimeSettings | None = None
    max_behind_s: Annotated[int, Field(ge=1, le=864_000)] = 23_400

    @property
    def fewest(self) -> int:
        """Return how many of the ranked symbols need their bars; with fewer, nothing is done."""
        return len(self.ranked) if self.min_ranked is None else self.min_ranked

    @property
    def refuge(self) -> tuple[str, ...]:
        """Return the symbol that is held if no ranked one qualifies, or none."""
        return () if self.defensive is None else (self.defensive,)

    @model_validator(mode="after")
    def _fit_together(self) -> "RotationSettings":
        """Refuse settings by which a symbol would be ranked twice, or that no ranking could fulfill."""
        twice = {symbol for symbol in self.ranked if self.ranked.count(symbol) > 1}
        if twice:
            raise ValueError(f"ranked lists {', '.join(sorted(twice))} twice")
        if self.defensive in self.ranked:
            raise ValueError(
                f"defensive {self.defensive} is ranked too; it is what is held if no ranked symbol qualifies"
            )
        for name, count in (("top", self.top), ("min_ranked", self.fewest)):
            if count > len(self.ranked):
                raise ValueError(f"{name} {count} is more than the {len(self.ranked)} symbols of ranked")
        return self


class Rotation(Struct, frozen=True):
    """A rotation in use: its section's name, its settings, its share of the account's equity, and limits of its own."""

    name: str
    settings: RotationSettings
    allotment_fraction: Decimal
    limits: OwnLimits
    universe: Collection[str]

    @property
    def wanting(self) -> Wanting:
        """Return what it may want: all of it may be in a single fund."""
        leverage, fund = self.settings.leverage, (*self.settings.refuge, *self.settings.ranked)[0]
        most = Wanted(symbol_fraction=leverage, gross_fraction=leverage, positions=self.settings.top)
        less = f"strategies.{self.name}.leverage"
        return Wanting(self.name, most, self.allotment_fraction, self.limits, less, "fund", fund)


def read(
    name: str, settings: Mapping[str, object], allotment: Decimal, limits: OwnLimits, universe: Collection[str]
) -> Rotation | list[str]:
    try:
        return Rotation(name, RotationSettings.model_validate(settings), allotment, limits, universe)
    except ValidationError as invalid:
        return [f"strategies.{'.'.join([name, *map(str, each['loc'])])}: {_wrong(each)}" for each in invalid.errors()]


def _wrong(error: Mapping[str, object]) -> str:
    return "there is no such setting" if error["type"] == "extra_forbidden" else expected(error)


def problems(rotations: Sequence[Rotation]) -> Iterator[str]:
    """Yield a sentence for each rotation that names funds which it can't reach."""
    for rotation in rotations:
        named = (*rotation.settings.ranked, *rotation.settings.refuge)
        outside = [symbol for symbol in named if symbol not in rotation.universe]
        if outside:
            yield (
                f"strategies.{rotation.name} ranks or holds {', '.join(outside[:5])}, which its universe doesn't have: "
                "add them to universe"
            )
