"""Make trends, days in a row in which a symbol leans one way, and shocks, in which its whole market moves at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from papervenue.chance import bell, stream
from papervenue.market.sessions import Session

_TREND_DAYS, _TREND = 10, 0.5
"""How long a trend lasts, and how much of its daily volatility a symbol moves by it each day, about."""
_SHOCK_DAYS, _SHOCK_MINUTES = 30, 15
"""In how many days there is one shock, and how long it takes."""
_SMALLEST_SHOCK, _LARGEST_SHOCK, _FALLS = 0.03, 0.06, 0.7
"""How much of its price a symbol with a beta of 1 moves, and how often it moves down."""

Shocks = Mapping[str, float]
"""What a market moves by suddenly, by the date of the session."""


def shocks_of(seed: int, sessions: Sequence[Session]) -> Shocks:
    """Return a shock for every few sessions of a market; most fall."""
    found = {}
    for place in range(0, len(sessions) - _SHOCK_DAYS + 1, _SHOCK_DAYS):
        rng = stream(seed, "shock", place)
        size = _SMALLEST_SHOCK + (_LARGEST_SHOCK - _SMALLEST_SHOCK) * rng.random()
        falls, day = rng.random() < _FALLS, sessions[place + int(_SHOCK_DAYS * rng.random())].date
        found[day] = -size if falls else size
    return found


def trends_of(seed: int, symbol: str, sessions: int, volatility: float) -> list[float]:
    """Return what a symbol's trends move it by in each of so many sessions."""
    rng = stream(seed, symbol, "trends")
    begins, step = int(_TREND_DAYS * rng.random()), _TREND * volatility
    trends = [step * bell(rng) for _ in range(sessions // _TREND_DAYS + 2)]
    return [trends[(begins + place) // _TREND_DAYS] for place in range(sessions)]


def jumps(seed: int, session: Session, sudden: float, minutes: int) -> Sequence[float]:
    """Return how far a session is ahead of its steady way after each minute, because of a sudden move in its shock."""
    if not sudden:
        return (0.0,) * minutes
    begins = int((minutes - _SHOCK_MINUTES) * stream(seed, "shock", session.date).random())
    return [
        sudden * (min(max(minute - begins, 0) / _SHOCK_MINUTES, 1.0) - (minute + 1) / minutes)
        for minute in range(minutes)
    ]
