"""The settings of the rotation strategy, and what it may want by them."""

from collections.abc import Collection, Generator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from tradebot.model.limits import Frozen, OwnLimits, TargetBounds
from tradebot.model.text import SYMBOL_PATTERN
from tradebot.strategies.checking import Wanting, validate_section

Symbol = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN)]
Sessions = Annotated[int, Field(ge=1, le=1000)]

SECTOR_FUNDS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE")
"""The funds of the eleven sectors of the S&P 500."""


class MarketDirection(StrEnum):
    """Which way the market goes, as the rule of `RegimeSettings` reads it."""

    BULL = "bull"
    BEAR = "bear"


class RegimeSettings(Frozen):
    """In which regime the strategy holds anything at all, and how the regime is read from a fund of the whole market.

    A close above its average is a bull market, and one below it a bear market. Within `band_fraction` of the average,
    the sign of the return over `momentum_sessions` decides.
    """

    only: MarketDirection
    symbol: Symbol = "SPY"
    average_sessions: Sessions = 200
    band_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.02
    momentum_sessions: Sessions = 126

    @property
    def depth(self) -> int:
        return max(self.average_sessions, self.momentum_sessions + 1)


class RotationSettings(Frozen):
    """What is ranked, how much of it is held, and when nothing is done; config/base.yaml explains each setting."""

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


def wanting(
    name: str, settings: Mapping[str, object], allotment: Decimal, limits: OwnLimits, universe: Collection[str]
) -> Generator[str, None, Wanting | None]:
    """Yield what is wrong with a rotation's section; return what it may want, or None if that can't be read."""
    rotation = yield from validate_section(name, RotationSettings, settings)
    if rotation is None:
        return None
    outside = [symbol for symbol in (*rotation.ranked, *rotation.refuge) if symbol not in universe]
    if outside:
        yield (
            f"strategies.{name} ranks or holds {', '.join(outside[:5])}, which its universe doesn't have: "
            "add them to universe"
        )
    # All of it may be in a single fund.
    most = TargetBounds(symbol_fraction=rotation.leverage, gross_fraction=rotation.leverage, positions=rotation.top)
    fund = (*rotation.refuge, *rotation.ranked)[0]
    return Wanting(name, most, allotment, limits, f"strategies.{name}.leverage", "fund", fund)
