"""The part of an observation that isn't about the market: numbers for the position, the account and the day."""

from collections.abc import Callable
from math import inf, isfinite
from typing import NamedTuple

from msgspec import Struct

MOST_CONTRACTS, MOST_BARS, MOST_TRADES = 3, 78, 20
DEEPEST = 0.15
"""The drawdown that the observation shows as 1."""


class DecisionState(NamedTuple):
    """The state at a decision. `position` is signed, in contracts, and money is in USD.

    `drawdown` is how far the equity is below its peak, as a fraction of the peak. `bars` is the position's age in bars,
    and `gone` the elapsed fraction of the session, 0 to 1. `trades` counts today's trades.
    """

    position: float
    unrealized: float
    equity: float
    drawdown: float
    bars: int
    gone: float
    trades: int


class StateFeature(Struct, frozen=True, eq=False):
    """One number of the state, described like a market `Feature`."""

    number: int
    name: str
    formula: str
    of: Callable[[DecisionState], float]
    low: float
    high: float


STATE = (
    StateFeature(
        55, "position", f"contracts held / {MOST_CONTRACTS}", lambda at: at.position / MOST_CONTRACTS, -inf, inf
    ),
    StateFeature(
        56, "unrealized", "unrealized profit / equity * 100", lambda at: at.unrealized / at.equity * 100, -inf, inf
    ),
    StateFeature(57, "drawdown", f"drawdown / {DEEPEST}", lambda at: at.drawdown / DEEPEST, 0, 1 / DEEPEST),
    StateFeature(
        58, "bars_held", f"bars in position / {MOST_BARS}, at most 1", lambda at: min(at.bars / MOST_BARS, 1), 0, 1
    ),
    StateFeature(59, "session_gone", "share of the session that is over", lambda at: at.gone, 0, 1),
    StateFeature(60, "trades_today", f"trades today / {MOST_TRADES}", lambda at: at.trades / MOST_TRADES, 0, inf),
)


def state_numbers(state: DecisionState) -> tuple[float | None, ...]:
    """Return the numbers of a state in order; None for a number that isn't finite, or doesn't apply.

    Numbers that are fractions of the equity are None unless the equity is above zero.
    """
    values = (each.of(state) if state.equity > 0 or each.name != "unrealized" else inf for each in STATE)
    return tuple(value if isfinite(value) else None for value in values)
