"""Collect the inputs of each component of the flow score: the same numbers that `signals.features` receives."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import fsum

from tradebot.model.candidate import ComponentName
from tradebot.model.flow import FlowAlert, TideTick
from tradebot.model.inputs import ComponentInputs, Input
from tradebot.model.record import SymbolFacts

USD = "USD"
CONTRACTS = "contracts"
SIGN = "-1, 0 or 1"


def gather(
    facts: SymbolFacts,
    alerts: Sequence[FlowAlert],
    ticks: Sequence[TideTick],
    now: datetime,
    *,
    lookback: timedelta,
    premium_scale_usd: float,
    direction: int,
) -> tuple[ComponentInputs, ...]:
    """Return the inputs of all components of one symbol's score.

    `alerts` are those that count, and `direction` is the sign of their flow, both as used for the score.
    """
    return (
        _flow(facts, alerts, premium_scale_usd),
        _dark_pool(facts, now, lookback),
        _market_tide(ticks),
        _greek_exposure(facts, direction),
        _iv_rank(facts, direction),
        _oi_change(facts),
    )


def _flow(facts: SymbolFacts, alerts: Sequence[FlowAlert], premium_scale_usd: float) -> ComponentInputs:
    net = float(sum(alert.net_premium for alert in alerts))
    gross = float(sum(alert.ask_premium + alert.bid_premium for alert in alerts))
    totals = (
        Input("net", net, USD),
        Input("gross", gross, USD),
        Input("scale", premium_scale_usd, USD),
        Input("alerts known", len(facts.alerts), "alerts", facts.alerts_fetched_at),
        Input("alerts that count", len(alerts), "alerts"),
    )
    absent = None if facts.has_usable_alerts else "no usable reply about this symbol's alerts"
    return ComponentInputs(ComponentName.FLOW, "net / (gross + scale)", (*totals, *_each(alerts)), absent)


def _each(alerts: Sequence[FlowAlert]) -> Iterator[Input]:
    """Yield each alert's signed premium, newest first."""
    for alert in sorted(alerts, key=lambda alert: (alert.at, alert.id), reverse=True):
        name = f"{alert.right.value} {alert.strike:f} {alert.expiry.isoformat()}"
        yield Input(name, alert.net_premium, USD, alert.at)


def _dark_pool(facts: SymbolFacts, now: datetime, lookback: timedelta) -> ComponentInputs:
    recent = [trade for trade in facts.prints if trade.at > now - lookback]
    newest = max((trade.at for trade in recent), default=None)
    bullish, bearish, neutral = (
        fsum(trade.premium_usd for trade in recent if trade.sign == sign) for sign in (1, -1, 0)
    )
    values = (
        Input("bullish", bullish, USD, newest),
        Input("bearish", bearish, USD, newest),
        Input("neutral", neutral, USD, newest),
        Input("prints known", len(facts.prints), "prints"),
        Input("prints that count", len(recent), "prints", newest),
    )
    absent = None if bullish + bearish + neutral else "no print within the lookback"
    formula = "(bullish - bearish) / (bullish + bearish + neutral)"
    return ComponentInputs(ComponentName.DARK_POOL, formula, values, absent)


def _market_tide(ticks: Sequence[TideTick]) -> ComponentInputs:
    formula = "(calls - puts) / (|calls| + |puts|)"
    if not ticks:
        return ComponentInputs(ComponentName.MARKET_TIDE, formula, (), "no tick within the lookback")
    last = ticks[-1]
    values = (
        Input("calls", last.net_call_premium, USD, last.at),
        Input("puts", last.net_put_premium, USD, last.at),
        Input("ticks known", len(ticks), "ticks", last.at),
    )
    return ComponentInputs(ComponentName.MARKET_TIDE, formula, values)


def _greek_exposure(facts: SymbolFacts, direction: int) -> ComponentInputs:
    formula = "-direction x gamma / (2 x scale), within -1..1"
    known = (("gamma", facts.gex), ("scale", facts.gex_scale))
    values = (
        *(Input(name, value, "gamma") for name, value in known if value is not None),
        Input("earlier sessions", facts.gex_sessions, "sessions"),
        Input("direction", direction, SIGN),
    )
    absent = None if facts.gex is not None and facts.gex_scale else "no exposure, or no earlier ones to measure against"
    return ComponentInputs(ComponentName.GREEK_EXPOSURE, formula, values, absent)


def _iv_rank(facts: SymbolFacts, direction: int) -> ComponentInputs:
    formula = "direction x (50 - rank) / 50"
    if facts.iv_rank is None:
        return ComponentInputs(ComponentName.IV_RANK, formula, (Input("direction", direction, SIGN),), "no rank known")
    rank = facts.iv_rank
    values = (
        Input("rank", rank.rank, "0 to 100", rank.date),
        Input("volatility", rank.volatility, "fraction", rank.date),
        Input("direction", direction, SIGN),
    )
    return ComponentInputs(ComponentName.IV_RANK, formula, values)


def _oi_change(facts: SymbolFacts) -> ComponentInputs:
    values = (
        Input("net", facts.oi_net, CONTRACTS),
        Input("gross", facts.oi_gross, CONTRACTS),
        Input("option symbols", facts.oi_contracts, "symbols"),
    )
    absent = None if facts.oi_contracts else "no change in open interest known"
    return ComponentInputs(ComponentName.OI_CHANGE, "net / gross", values, absent)
