"""The rotation strategy: once a month, hold the funds with the largest returns of the last half year, or bonds."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.series import DAY, SeriesKey
from tradebot.model.view import BarNeed, Needs, StrategyView, Target
from tradebot.strategies.filters import StrategyFilter
from tradebot.strategies.rotation_settings import MarketDirection, RegimeSettings, RotationSettings

NOTHING = Decimal(0)
REGIME, MOMENTUM = StrategyFilter("regime"), StrategyFilter("momentum", Unit.SHARE_OF_WHOLE)


class RotationStrategy:
    """Ranks funds by their return with dividends, and wants equal weights of the strongest.

    A weight is of the strategy's allotment, and all of them together are `leverage`. If no fund's return is at least
    `min_momentum`, the defensive fund gets all of it.
    """

    name = "rotation"
    times = "first session of month at open+5m for 3 sessions"

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = RotationSettings.model_validate(settings)
        self.needs = Needs(bars=tuple(_bars(self._settings)), lots=True)

    def propose(self, view: StrategyView) -> Sequence[Target] | Decision:
        """Return a target for each fund that is ranked, defensive or held, or why nothing is to be done."""
        settings = self._settings
        known = [symbol for symbol in settings.ranked if symbol in view.universe]
        blind = [symbol for symbol in settings.ranked if symbol in view.lots and symbol not in known]
        if blind or len(known) < settings.fewest:
            return _kept(f"{blind[0]} is held and has no bars" if blind else len(known), settings.fewest)
        if settings.regime is None:
            return self._targets(view, known)
        series = view.series.get(SeriesKey(settings.regime.symbol, DAY, adjusted=True))
        if series is None or len(series) < settings.regime.depth:
            return _kept(f"{settings.regime.symbol} has too few bars for the regime", settings.regime.depth)
        return self._targets(view, known, regime(series.close, settings.regime))

    def _targets(self, view: StrategyView, known: Sequence[str], found: MarketDirection | None = None) -> list[Target]:
        """Return the weights of the chosen funds, and zero for all others that could be held.

        Nothing is held if the regime that was `found` isn't the strategy's; None if it asks for none.
        """
        settings = self._settings
        returns = {symbol: momentum(view.bars(symbol).close, settings.lookback_sessions) for symbol in known}
        wanted = settings.regime.only if settings.regime else None
        qualified = strongest(returns, settings.top, settings.min_momentum) or settings.refuge
        chosen = qualified if found is wanted else ()
        weight = settings.leverage / max(len(chosen), 1)
        # Neither answer refuses a target, because to hold nothing of a fund is one too. The defensive fund isn't
        # ranked, so it has no momentum to compare with the least that qualifies.
        of_regime = (REGIME.answer(True, None, found.value, wanted.value),) if found and wanted else ()
        why = {symbol: (MOMENTUM.answer(True, None, each, settings.min_momentum),) for symbol, each in returns.items()}
        return [
            Target(symbol, weight if symbol in chosen else NOTHING, decisions=(*of_regime, *why.get(symbol, ())))
            for symbol in self._all(view)
        ]

    def _all(self, view: StrategyView) -> Sequence[str]:
        """Return what is ranked, defensive or held, as far as it is known, in the order of the settings."""
        named = (*self._settings.ranked, *self._settings.refuge)
        return [*(symbol for symbol in named if symbol in view.universe), *(s for s in view.lots if s not in named)]


def momentum(closes: Sequence[float], sessions: int) -> float:
    """Return the return over a number of sessions as a fraction; it takes one close more than that."""
    return closes[-1] / closes[-1 - sessions] - 1


def strongest(returns: Mapping[str, float], top: int, least: float) -> list[str]:
    """Return the symbols with the largest returns, at most `top`, that are at least `least`; ties in their order."""
    ranked = sorted(returns, key=lambda symbol: -returns[symbol])
    return [symbol for symbol in ranked[:top] if returns[symbol] >= least]


def regime(closes: Sequence[float], settings: RegimeSettings) -> MarketDirection:
    """Return the regime that these closes show, the newest last."""
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


def _kept(observed: float | str, least: int) -> Decision:
    """Return the decision to keep what is held, because a ranking would miss funds that may be the best."""
    return Decision(Gate.STRATEGY, Verdict.UNKNOWN, Reason.RANKED_TOO_FEW, observed, least)
