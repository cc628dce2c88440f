"""The market's regime by name, from its volatility, its breadth, dealers' gamma and the net premium of all options.

The names and the thresholds come from the bot before this one, which fed them constants. Here, inputs are measured.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from tradebot.model.kind import AnyKind
from tradebot.signals.kinds import market_breadth, market_gamma, market_tide, market_volatility

HIGH_VOLATILITY, LOW_VOLATILITY = 0.9, 0.5
"""Realized volatility of a month as a fraction a year."""
BROAD = 0.2
"""The share of rising stocks less that of falling ones, from which on the market moves as one."""
OLDEST_TICK = timedelta(hours=1)
READS: tuple[AnyKind, ...] = (market_volatility.KIND, market_gamma.KIND, market_breadth.KIND, market_tide.KIND)
"""The kinds of facts that a regime is read from. All are about the whole market, so they take one call each."""


class MarketState(NamedTuple):
    """What a regime is read from, at one moment.

    `volatility` is realized, as a fraction a year. `breadth` is the share of rising stocks less that of falling ones.
    `net_premium` is in USD.
    """

    volatility: float
    gamma: float
    breadth: float
    net_premium: float


def market_state(market: Mapping[str, object], now: datetime) -> MarketState | None:
    """Return the state of the market by what is known of it, or None unless all of it is."""
    volatility, gamma = market_volatility.KIND.of(market), market_gamma.KIND.of(market)
    breadth, ticks = market_breadth.KIND.of(market), market_tide.KIND.of(market)
    if volatility is None or volatility.realized is None or gamma is None or breadth is None or not ticks:
        return None
    last = ticks[-1]
    if last.at <= now - OLDEST_TICK:
        return None
    return MarketState(volatility.realized, gamma.gex, breadth, float(last.net_call_premium - last.net_put_premium))


def regime(state: MarketState) -> str:
    if state.volatility > HIGH_VOLATILITY and state.gamma < 0:
        return "high_vol_neg_gamma"
    if state.volatility < LOW_VOLATILITY and state.breadth > BROAD:
        return "low_vol_uptrend"
    if state.net_premium < 0 and state.breadth < -BROAD:
        return "downtrend_flow_heavy"
    return "mixed"
