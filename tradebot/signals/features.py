"""Features of one symbol, each a float in -1..1 with positive meaning bullish, or None if the data is absent.

Absent isn't zero: a fetch that found no alerts is a flow of zero, and no fetch at all is None.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import fsum

from tradebot.model.flow import FlowAlert, SignedPrint, TideTick
from tradebot.model.record import SymbolFacts


def recent_alerts(
    facts: SymbolFacts, now: datetime, lookback: timedelta, min_premium_usd: float, max_days: int
) -> list[FlowAlert]:
    """Return the alerts that count: recent, large enough, single-leg, and with 0 to `max_days` days to expiry."""
    since, today = now - lookback, now.date()
    latest_expiry = today + timedelta(days=max_days)
    return [
        alert
        for alert in facts.alerts
        if alert.at > since
        and alert.premium >= min_premium_usd
        and today <= alert.expiry <= latest_expiry
        and not alert.has_multileg
    ]


def flow(alerts: Sequence[FlowAlert], premium_scale_usd: float) -> float:
    """Return net / gross premium, damped by gross / (gross + scale) so that thin flow counts little."""
    net = float(sum(alert.net_premium for alert in alerts))
    gross = float(sum(alert.ask_premium + alert.bid_premium for alert in alerts))
    return net / (gross + premium_scale_usd)


def dark_pool(prints: Sequence[SignedPrint], now: datetime, lookback: timedelta) -> float | None:
    """Return the premium-weighted mean direction of recent prints: +1 above the quote's midpoint, -1 below it."""
    since = now - lookback
    recent = [trade for trade in prints if trade.at > since]
    total = fsum(trade.premium_usd for trade in recent)
    if not total:
        return None
    # fsum rounds only once, at the end. Rounding at each step could push the mean slightly outside -1..1.
    return fsum(trade.premium_usd * trade.sign for trade in recent) / total


def recent_ticks(ticks: Sequence[TideTick], now: datetime, lookback: timedelta) -> Sequence[TideTick]:
    """Return the ticks, or none of them if the last one is too old to say anything about now."""
    return ticks if ticks and ticks[-1].at > now - lookback else ()


def market_tide(ticks: Sequence[TideTick]) -> float | None:
    """Return call minus put premium over their absolute sum, from the last tick of the cumulative series."""
    if not ticks:
        return None
    last = ticks[-1]
    size = float(abs(last.net_call_premium) + abs(last.net_put_premium))
    return float(last.net_premium) / size if size else 0.0


def greek_exposure(facts: SymbolFacts, direction: int) -> float | None:
    """Return how dealers' gamma affects the flow's direction: short gamma amplifies it, long gamma damps it.

    The exposure is compared with the mean magnitude of earlier sessions. Without earlier sessions, or if all were zero,
    there is no scale and the result is None.
    """
    if facts.gex is None or not facts.gex_scale:
        return None
    return -direction * max(-1.0, min(1.0, facts.gex / (2 * facts.gex_scale)))


def iv_rank(facts: SymbolFacts, direction: int) -> float | None:
    """Return the flow's direction times +1 if options are at their cheapest of the year, -1 if at their dearest."""
    if facts.iv_rank is None:
        return None
    return direction * (50.0 - float(facts.iv_rank.rank)) / 50.0


def oi_change(facts: SymbolFacts) -> float | None:
    """Return the overnight change in call minus put open interest, divided by the sum of magnitudes."""
    if not facts.oi_contracts:
        return None
    return facts.oi_net / facts.oi_gross if facts.oi_gross else 0.0
