"""The futures strategy: long, short or flat in each contract, by the mean of three votes on its bars.

The bars are joined over rolls, so that price moves come from the market and never from the change of contract.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import fmean

from tradebot.model.view import BarNeed, Needs, StrategyView, Target
from tradebot.signals.structures.bars import rsi, zscore
from tradebot.strategies.filters import StrategyFilter
from tradebot.strategies.futures_settings import FuturesSettings

TREND, STRENGTH, BAND, MEAN = (
    StrategyFilter("trend"),
    StrategyFilter("strength"),
    StrategyFilter("band"),
    StrategyFilter("mean_vote"),
)
BAND_WIDTH = 4
"""How many deviations lie between the two Bollinger bands."""


class FuturesStrategy:
    """Targets a position of `contracts` on the side that the votes agree on, and no position if they don't agree."""

    name = "futures"
    times = ""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = FuturesSettings.model_validate(settings)
        need = BarNeed(self._settings.timeframe, self._settings.depth, max_age_s=self._settings.max_behind_s)
        self.needs = Needs(bars=(need,))

    def propose(self, view: StrategyView) -> Sequence[Target]:
        """Return a target for each contract of the universe."""
        return [self._target(symbol, view.bars(symbol, self._settings.timeframe).close) for symbol in view.universe]

    def _target(self, symbol: str, closes: Sequence[float]) -> Target:
        settings = self._settings
        trend, band_position = trend_of(closes, settings), band_of(closes, settings)
        strength = rsi(closes, settings.rsi_length)[-1]
        assert strength is not None, "there are enough bars for it"
        by_strength = reversal(strength, settings.rsi_low, settings.rsi_high)
        by_band = reversal(band_position, settings.band_low, settings.band_high)
        vote = fmean((sign(trend), by_strength, by_band))
        side = sign(vote) if abs(vote) > settings.min_mean_vote else 0
        # Being flat is a valid result too, so none of these refuses a target.
        decisions = (
            TREND.answer(True, None, trend, 0),
            STRENGTH.answer(True, None, strength, settings.rsi_high if by_strength < 0 else settings.rsi_low),
            BAND.answer(True, None, band_position, settings.band_high if by_band < 0 else settings.band_low),
            MEAN.answer(True, None, vote, settings.min_mean_vote),
        )
        return Target(symbol, quantity=Decimal(side * settings.contracts), decisions=decisions)


def trend_of(closes: Sequence[float], settings: FuturesSettings) -> float:
    """Return how far the fast average is above the slow one, as a fraction of the slow one."""
    return fmean(closes[-settings.fast :]) / fmean(closes[-settings.slow :]) - 1


def band_of(closes: Sequence[float], settings: FuturesSettings) -> float:
    """Return the position of the last close between the Bollinger bands: 0 is the lower one, 1 the upper one."""
    return zscore(closes, settings.band_length) / BAND_WIDTH + 0.5


def reversal(value: float, low: float, high: float) -> int:
    """Return the vote against an extreme value: 1 below `low`, -1 above `high`."""
    return (value < low) - (value > high)


def sign(value: float) -> int:
    return (value > 0) - (value < 0)
