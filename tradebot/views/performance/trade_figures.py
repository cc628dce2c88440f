"""Figures of closed trades: how many won, and how much; each with its count, and with how many it would take."""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, median, stdev

from tradebot.auditing.intervals import LEVEL, t_quantile
from tradebot.views.performance.report import Figure, TradeRow, Unit
from tradebot.views.performance.statistics import wilson

A_SAMPLE = 30
"""From so many trades on, a share of winners has an interval of at most 35 points, and a mean is about normal."""
OF_EACH = 10
"""So many winners, and so many losers, make an average of either."""
TRADES = "closed trades"


def trade_figures(trades: Sequence[TradeRow]) -> tuple[Figure, ...]:
    """Return the figures of the trades that are closed, by their profit after fees."""
    closed = [trade for trade in trades if trade.closed_at is not None]
    made = [float(trade.net_usd) for trade in closed]
    wins, losses = [each for each in made if each > 0], [-each for each in made if each < 0]
    times = [(trade.closed_at - trade.opened_at).total_seconds() for trade in closed if trade.closed_at is not None]
    held_s = median(times) if times else None
    return (
        _win_rate(len(wins), len(made)),
        _of_sides("payoff", "Payoff", wins, losses, means=True),
        _of_sides("profit_factor", "Profit factor", wins, losses, means=False),
        _mean_profit(made),
        Figure("median_holding", "Median holding time", Unit.SECONDS, held_s, len(times), 1, TRADES),
    )


def _win_rate(wins: int, count: int) -> Figure:
    value, low, high = wilson(wins, count) if count >= A_SAMPLE else (None, None, None)
    note = f"{wins:,} of {count:,} won"
    return Figure("win_rate", "Win rate", Unit.FRACTION, value, count, A_SAMPLE, TRADES, low, high, note)


def _of_sides(name: str, label: str, wins: Sequence[float], losses: Sequence[float], *, means: bool) -> Figure:
    """Return the ratio of winners to losers, by their means or by their sums."""
    of, others = ("winning", "losing") if len(wins) < len(losses) else ("losing", "winning")
    fewer, more = sorted((len(wins), len(losses)))
    combined = fmean if means else sum
    value = combined(wins) / combined(losses) if fewer >= OF_EACH else None
    return Figure(name, label, Unit.RATIO, value, fewer, OF_EACH, f"{of} trades", note=f"{more:,} {others}")


def _mean_profit(made: Sequence[float]) -> Figure:
    """Return the mean profit of a trade, with its interval by Student's t."""
    count = len(made)
    value = fmean(made) if count >= A_SAMPLE else None
    half = t_quantile(1 - LEVEL, count - 1) * stdev(made) / sqrt(count) if value is not None else 0.0
    bounds = (None, None) if value is None else (value - half, value + half)
    return Figure("mean_profit", "Mean profit", Unit.USD, value, count, A_SAMPLE, TRADES, *bounds)
