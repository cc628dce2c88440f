"""Which alerts count, and what they add up to."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.model.flow import FlowAlert
from tradebot.model.record import SymbolFacts


def recent_alerts(
    facts: SymbolFacts, now: datetime, lookback: timedelta, min_premium_usd: float, max_days: int
) -> list[FlowAlert]:
    """Return the alerts that count: recent, large enough, single-leg, and with 0 to `max_days` days to expiry."""
    since, today = now - lookback, now.date()
    latest_expiry, least = today + timedelta(days=max_days), Decimal(min_premium_usd)
    return [
        alert
        for alert in facts.alerts
        if alert.at > since
        and alert.premium >= least
        and today <= alert.expiry <= latest_expiry
        and not alert.has_multileg
    ]


def net_and_gross(alerts: Sequence[FlowAlert]) -> tuple[float, float]:
    """Return the signed and the unsigned premium of all alerts, in USD; positive is bullish."""
    net = float(sum(alert.net_premium for alert in alerts))
    return net, float(sum(alert.ask_premium + alert.bid_premium for alert in alerts))


def flow(alerts: Sequence[FlowAlert], premium_scale_usd: float) -> float:
    """Return net / gross premium, damped by gross / (gross + scale) so that thin flow counts little."""
    net, gross = net_and_gross(alerts)
    return net / (gross + premium_scale_usd)
