"""The settings of the futures strategy, which votes by moving averages, relative strength and Bollinger bands."""

from typing import Annotated

from pydantic import Field, model_validator

from tradebot.model.limits import Frozen
from tradebot.model.series import WIDTHS

Length = Annotated[int, Field(ge=2, le=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]


class FuturesSettings(Frozen):
    """The parameters of the votes; lengths are in bars.

    A vote counts 1, -1 or 0, and their mean has to be beyond `min_mean_vote` for a position.
    """

    timeframe: str = "5Min"
    depth: Annotated[int, Field(ge=50, le=10_000)] = 300
    max_behind_s: Annotated[int, Field(ge=1, le=864_000)] = 600
    fast: Length = 10
    slow: Length = 30
    rsi_length: Length = 14
    rsi_low: Percent = 30.0
    rsi_high: Percent = 70.0
    band_length: Length = 20
    band_low: Share = 0.2
    band_high: Share = 0.8
    min_mean_vote: Annotated[float, Field(ge=0, lt=1)] = 0.3
    contracts: Annotated[int, Field(ge=1, le=1000)] = 1

    @model_validator(mode="after")
    def _fit_together(self) -> "FuturesSettings":
        if self.timeframe not in WIDTHS:
            raise ValueError(f"timeframe {self.timeframe} is not a timeframe; use 1Min to 59Min, or 1Hour to 23Hour")
        for low, high in (("fast", "slow"), ("rsi_low", "rsi_high"), ("band_low", "band_high")):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low)} is not below {high} {getattr(self, high)}")
        longest = max(self.slow, self.rsi_length + 1, self.band_length)
        if self.depth < longest:
            raise ValueError(f"depth {self.depth} is less than the {longest} bars that the votes need")
        return self
