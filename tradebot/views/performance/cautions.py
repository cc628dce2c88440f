"""What no figure of a report shows: how little of the past it has seen, and on how few days its result rests."""

from collections.abc import Iterator, Sequence

from tradebot.model.text import counted, counted_kind
from tradebot.views.performance import statistics
from tradebot.views.performance.report import CurvePoint, TradeRow
from tradebot.views.performance.return_figures import A_YEAR

A_FALL = 0.20
"""How far the benchmark falls from a peak, by its closes, in what is commonly called a bear market."""
BEST = 10
"""Without how many of the best sessions the result is shown."""
FEW_TRADES = 100
YEARS_OF_REGIMES = 10
"""Below so many years, the span has hardly seen more than one kind of market."""


def cautions(
    returns: Sequence[float], curve: Sequence[CurvePoint], trades: Sequence[TradeRow], benchmark: str | None
) -> Iterator[str]:
    """Yield what to keep in mind about an account of a year or more; shorter ones know too little for all of this."""
    if len(returns) < A_YEAR:
        return
    closed = sum(1 for trade in trades if trade.closed_at)
    if closed < FEW_TRADES:
        yield (
            f"This rests on {counted_kind(closed, 'closed trades')}. That is few: one more or one less could change it."
        )
    years = len(returns) / A_YEAR
    if years < YEARS_OF_REGIMES:
        yield (
            f"These {years:.1f} years are one stretch of history. {_falls(curve, benchmark)}Rates, volatility and "
            "trends of other times may suit the strategy less."
        )
    if any(returns):
        yield _without_best(returns)


def _falls(curve: Sequence[CurvePoint], benchmark: str | None) -> str:
    index = [point.benchmark for point in curve if point.benchmark is not None]
    if not benchmark or len(index) < 2:
        return ""
    count = sum(fall.depth <= -A_FALL for fall in statistics.falls(index))
    if not count:
        return f"{benchmark} never fell by {A_FALL:.0%} in them, so nothing here shows what happens if it does. "
    often = {1: "once", 2: "twice"}.get(count, f"{count} times")
    return f"{benchmark} fell by {A_FALL:.0%} or more {often} in them. "


def _without_best(returns: Sequence[float]) -> str:
    left = statistics.total_return(sorted(returns)[:-BEST])
    return (
        f"Without its {BEST} best of {counted(len(returns), 'session')}, the return would have been {left:+.1%} "
        f"instead of {statistics.total_return(returns):+.1%}."
    )
