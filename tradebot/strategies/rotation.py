"""The rotation strategy: once a month, buy the funds with the largest returns of the last half year, or bonds."""

from collections.abc import Collection, Generator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import Frozen, OwnLimits, TargetBounds
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.sentences import SYMBOL_PATTERN
from tradebot.model.series import DAY, SeriesKey
from tradebot.model.view import BarNeed, Needs, StrategyView, Target
from tradebot.strategies.filters import StrategyFilter
from tradebot.strategies.section_validation import TargetStrategy, validate_section

Symbol = Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN)]

Sessions = Annotated[int, Field(ge=1, le=1000)]

SECTOR_FUNDS = ("XLK", "XLF", "XLE", "XLV", "XLI", "XLP", "XLU", "XLY", "XLC", "XLB", "XLRE")

"""The funds of the eleven sectors of the S&P 500."""


class MarketDirection(StrEnum):
    """The direction of the market by the rule of `RegimeSettings`."""

    BULL = "bull"
    BEAR = "bear"


class RegimeSettings(Frozen):
    """The market regimes in which the strategy may hold positions, determined from a fund of the whole market.

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
    """Which funds are ranked, how many are bought, and when nothing is traded: see config/base.yaml."""

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
        """Return how many of the ranked symbols need bars; with fewer, the strategy does nothing."""
        return len(self.ranked) if self.min_ranked is None else self.min_ranked

    @property
    def refuge(self) -> tuple[str, ...]:
        """Return the defensive symbol, to buy if no ranked one qualifies; empty if there is none."""
        return () if self.defensive is None else (self.defensive,)

    @model_validator(mode="after")
    def _fit_together(self) -> "RotationSettings":
        twice = {symbol for symbol in self.ranked if self.ranked.count(symbol) > 1}
        if twice:
            raise ValueError(f"ranked lists {', '.join(sorted(twice))} twice")
        if self.defensive in self.ranked:
            raise ValueError(
                f"defensive {self.defensive} is ranked too, but it is meant for when no ranked symbol qualifies"
            )
        for name, count in (("top", self.top), ("min_ranked", self.fewest)):
            if count > len(self.ranked):
                raise ValueError(f"{name} {count} is more than the {len(self.ranked)} symbols of ranked")
        return self


def wanting(
    name: str, settings: Mapping[str, object], allotment: Decimal, limits: OwnLimits, universe: Collection[str]
) -> Generator[str, None, TargetStrategy | None]:
    """Yield the errors in a rotation's section; return the bounds of its wants, or None if the section is invalid."""
    rotation = yield from validate_section(name, RotationSettings, settings)
    if rotation is None:
        return None
    outside = [symbol for symbol in (*rotation.ranked, *rotation.refuge) if symbol not in universe]
    if outside:
        yield (
            f"strategies.{name} ranks or holds {', '.join(outside[:5])}, which its universe doesn't have: "
            "add them to universe"
        )
    # A single fund may get all of it.
    most = TargetBounds(symbol_fraction=rotation.leverage, gross_fraction=rotation.leverage, positions=rotation.top)
    fund = (*rotation.refuge, *rotation.ranked)[0]
    return TargetStrategy(name, most, allotment, limits, f"strategies.{name}.leverage", "fund", fund)


NOTHING = Decimal(0)

REGIME, MOMENTUM = StrategyFilter("regime"), StrategyFilter("momentum", Unit.SHARE_OF_WHOLE)


class RotationStrategy:
    """Ranks funds by total return, and targets equal weights of the strongest.

    A weight is a fraction of the strategy's allotment, and the weights add up to `leverage`. If no fund's return is at
    least `min_momentum`, the defensive fund gets all of the weight.
    """

    name = "rotation"
    times = "first session of month at open+5m for 3 sessions"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = RotationSettings.model_validate(settings)
        self.needs = Needs(bars=tuple(_bars(self._settings)), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Target] | Decision:
        """Return a target for each fund that is ranked, defensive or in a position, or why there is nothing to do."""
        settings = self._settings
        ranked = [symbol for symbol in settings.ranked if symbol in view.universe]
        blind = [symbol for symbol in settings.ranked if symbol in view.lots and symbol not in ranked]
        if blind or len(ranked) < settings.fewest:
            return _keep_decision(f"{blind[0]} is held and has no bars" if blind else len(ranked), settings.fewest)
        if settings.regime is None:
            return self._targets(view, ranked)
        series = view.series.get(SeriesKey(settings.regime.symbol, DAY, adjusted=True))
        if series is None or len(series) < settings.regime.depth:
            return _keep_decision(f"{settings.regime.symbol} has too few bars for the regime", settings.regime.depth)
        return self._targets(view, ranked, regime(series.close, settings.regime))

    def _targets(
        self, view: StrategyView, symbols: Sequence[str], trend: MarketDirection | None = None
    ) -> list[Target]:
        """Return the weights of the chosen funds, and zero for all others that the strategy could have.

        All weights are zero if the market's direction `trend` isn't one the strategy trades in; None if it doesn't
        check.
        """
        settings = self._settings
        returns = {symbol: momentum(view.bars(symbol).close, settings.lookback_sessions) for symbol in symbols}
        wanted = settings.regime.only if settings.regime else None
        qualified = strongest(returns, settings.top, settings.min_momentum) or settings.refuge
        chosen = qualified if trend is wanted else ()
        weight = settings.leverage / max(len(chosen), 1)
        # These decisions refuse no target, because a target of zero is one too. The defensive fund isn't ranked, so it
        # has no momentum to compare with the least that qualifies.
        of_regime = (REGIME.answer(True, None, trend.value, wanted.value),) if trend and wanted else ()
        why = {symbol: (MOMENTUM.answer(True, None, each, settings.min_momentum),) for symbol, each in returns.items()}
        return [
            Target(symbol, weight if symbol in chosen else NOTHING, decisions=(*of_regime, *why.get(symbol, ())))
            for symbol in self._all(view)
        ]

    def _all(self, view: StrategyView) -> Sequence[str]:
        """Return the known symbols that are ranked, defensive or in a position, in the order of the settings."""
        named = (*self._settings.ranked, *self._settings.refuge)
        return [*(symbol for symbol in named if symbol in view.universe), *(s for s in view.lots if s not in named)]


def momentum(closes: Sequence[float], sessions: int) -> float:
    """Return the return over a number of sessions as a fraction; one more close than sessions is needed."""
    return closes[-1] / closes[-1 - sessions] - 1


def strongest(returns: Mapping[str, float], top: int, least: float) -> list[str]:
    """Return at most `top` symbols whose returns are at least `least`, largest first; ties keep their order."""
    ranked = sorted(returns, key=lambda symbol: -returns[symbol])
    return [symbol for symbol in ranked[:top] if returns[symbol] >= least]


def regime(closes: Sequence[float], settings: RegimeSettings) -> MarketDirection:
    """Return the market's direction, given daily closes, oldest first."""
    average = sum(closes[-settings.average_sessions :]) / settings.average_sessions
    above = closes[-1] / average - 1
    if abs(above) <= settings.band_fraction:
        above = momentum(closes, settings.momentum_sessions)
    return MarketDirection.BULL if above >= 0 else MarketDirection.BEAR


def _bars(settings: RotationSettings) -> Sequence[BarNeed]:
    ranked = BarNeed(DAY, settings.lookback_sessions + 1, symbols=settings.ranked, max_age_s=settings.max_behind_s)
    if settings.regime is None:
        return (ranked,)
    of_regime = (settings.regime.symbol,)
    return ranked, BarNeed(DAY, settings.regime.depth, symbols=of_regime, max_age_s=settings.max_behind_s)


def _keep_decision(observed: float | str, least: int) -> Decision:
    """Return the decision to keep all positions, because the ranking would lack funds that may be the best."""
    return Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, observed, least)
