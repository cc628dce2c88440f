"""A model's inputs: market features, scaled as in its training, and the state of its position."""

from collections.abc import Mapping
from datetime import datetime
from math import isnan

from tradebot.learning.card import Card, Scaling
from tradebot.model.series import width_of
from tradebot.model.view import StrategyView
from tradebot.signals.features.state import STATE, DecisionState, state_numbers

HIGHEST = 5.0
"""Beyond so many deviations, a feature counts as so many."""


def state_of(view: StrategyView, symbol: str, timeframe: str, at: datetime) -> DecisionState | None:
    """Return how things stand for a symbol, of which a bar has closed `at`.

    None if the session, or the profit of its position, isn't known.
    """
    seen, held, width = view.situation, view.lots.get(symbol), width_of(timeframe)
    if seen is None or seen.session is None or width is None or (held and symbol not in seen.unrealized):
        return None
    session = seen.session
    return DecisionState(
        position=float(held.quantity) if held else 0.0,
        unrealized=float(seen.unrealized[symbol]) if held else 0.0,
        equity=float(seen.equity),
        drawdown=float(seen.drawdown),
        bars=max((at - held.opened_at) // width, 0) if held else 0,
        gone=max((at - session.open) / (session.close - session.open), 0.0),
        trades=seen.trades,
    )


def observation(
    card: Card, scaling: Scaling, values: Mapping[str, float], state: DecisionState
) -> tuple[float, ...] | str:
    """Return what a model is shown; the name of what is missing if one of its numbers isn't known.

    What isn't known is never shown as zero.
    """
    shown = list[float]()
    for name, mean, deviation in zip(card.names, scaling.means, scaling.deviations, strict=True):
        value = values.get(name)
        if value is None or isnan(value):
            return name
        shown.append(min(max((value - mean) / deviation, -HIGHEST), HIGHEST))
    for feature, number in zip(STATE, state_numbers(state), strict=True):
        if number is None:
            return feature.name
        shown.append(number)
    return tuple(shown)
