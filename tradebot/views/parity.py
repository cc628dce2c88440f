"""Totals of sessions compared with their backtests: how much worse fills were, and other differences.

The measured slippage can replace the assumed one.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from tradebot.model.parity import IN_FULL, ZERO, DayParity, DifferenceType
from tradebot.model.sentences import pluralize

LATELY = 20
"""The number of sessions in a figure over time."""


class ParityTotals(Struct, frozen=True):
    """The totals of the last compared sessions.

    Fills were `worse_bps` worse than assumed, weighted by value; None if no order filled on both sides. `slippage_bps`
    is that plus the slippage that was assumed beyond the quote. `ours` are the differences without an outside cause.
    """

    sessions: int
    fills: int
    worse_bps: Decimal | None
    slippage_bps: Decimal | None
    decisions: int
    orders: int
    ours: int
    cost_usd: Decimal


def over_time(days: Sequence[DayParity]) -> ParityTotals | None:
    """Return the totals of compared sessions; None without any."""
    if not days:
        return None
    value = sum((day.value_usd for day in days), ZERO)
    worse = sum((day.worse_usd for day in days), ZERO) / value * IN_FULL if value else None
    assumed = sum((day.value_usd * day.assumed_bps for day in days), ZERO) / value if value else ZERO
    return ParityTotals(
        sessions=len(days),
        fills=sum(day.fills for day in days),
        worse_bps=None if worse is None else round(worse, 2),
        slippage_bps=None if worse is None else round(max(assumed + worse, ZERO), 2),
        decisions=sum(day.count(DifferenceType.DECISION) for day in days),
        orders=sum(day.count(DifferenceType.ORDER) for day in days),
        ours=sum(day.ours for day in days),
        cost_usd=sum((day.cost_usd for day in days), ZERO),
    )


def day_in_words(day: DayParity) -> str:
    """Describe how a bot's session differed from its backtest, why, and at what cost."""
    if not day.causes:
        compared = f"{pluralize(day.decisions, 'decision')}, {pluralize(day.orders, 'order request')}"
        return f"The backtest of the session does the same: {compared}, {pluralize(day.fills, 'filled order')}"
    counts = (pluralize(day.count(what), what.value) for what in DifferenceType if day.count(what))
    causes = ", ".join(cause.cause.value for cause in day.causes)
    result = f"cost {day.cost_usd:,.2f}" if day.cost_usd >= 0 else f"earned {-day.cost_usd:,.2f}"
    return f"The backtest of the session differs in {', '.join(counts)} ({causes}), which {result} USD"


def in_words(totals: ParityTotals) -> str:
    """Describe the totals over time: how fills compared with the assumptions, and which decisions differed."""
    span = "the last session" if totals.sessions == 1 else f"the last {totals.sessions} sessions"
    if totals.worse_bps is None:
        fills = "no fills to compare"
    elif not round(totals.worse_bps, 1):
        fills = "fills as assumed"
    else:
        fills = f"fills {abs(totals.worse_bps):.1f} bps {'worse' if totals.worse_bps > 0 else 'better'} than assumed"
    differ = "differs" if totals.decisions == 1 else "differ"
    decisions = f"{pluralize(totals.decisions, 'decision')} {differ}" if totals.decisions else "no decision differs"
    ours = f", {pluralize(totals.ours, 'unexplained difference')}" if totals.ours else ""
    return f"{span}: {fills}, {decisions}{ours}"
