"""Show how a backtest's result depends on things outside the strategy: costs, trading a day later, and the rebalance
day.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles

from msgspec import Struct
from msgspec.structs import asdict

from tradebot.lab.performance import statistics
from tradebot.lab.performance.returns import SESSIONS_PER_YEAR, Path
from tradebot.model.evidence import Variant, VariantKind

FEWEST = 5
"""The number of rebalancing days needed for quartiles."""
AS_PLAYED = "as played"


class VariantRow(Struct, frozen=True):
    """A backtest that was rerun with one change; `cagr_change` is relative to the original backtest."""

    kind: str
    name: str
    sessions: int
    trades: int
    total_return: float
    cagr: float | None
    cagr_change: float | None
    max_drawdown: float
    sharpe: float | None


class CagrBand(Struct, frozen=True):
    """The range of CAGR over alternative rebalance days; `below_played` counts the days that did worse than the
    original one.
    """

    days: int
    lowest: float
    first_quartile: float
    median: float
    third_quartile: float
    highest: float
    below_played: int | None


class Sensitivity(Struct, frozen=True):
    """The original backtest, its variants, and the band over rebalance days if there are enough."""

    played: VariantRow
    rows: tuple[VariantRow, ...]
    rebalance_days: tuple[VariantRow, ...]
    band: CagrBand | None
    needed_days: int


def variant_of(kind: VariantKind, name: str, equities: Sequence[float], trades: int) -> Variant:
    """Compute a backtest's result from its equity in USD, before the first session and then after each session.

    There must be no transfers. The Sharpe ratio uses a cash rate of zero.
    """
    returns = [after / before - 1 for before, after in pairwise(equities)]
    return _variant(kind, name, returns, SESSIONS_PER_YEAR, trades)


def played_as(path: Path, trades: int) -> Variant:
    """Return the account's actual result, with which its variants are compared."""
    return _variant(VariantKind.OTHER, AS_PLAYED, path.returns, path.per_year, trades)


def _variant(kind: VariantKind, name: str, returns: Sequence[float], per_year: float, trades: int) -> Variant:
    ratio = statistics.sharpe(returns, per_year) if len(returns) >= SESSIONS_PER_YEAR // 4 else None
    return Variant(
        kind=kind,
        name=name,
        sessions=len(returns),
        trades=trades,
        total_return=statistics.total_return(returns),
        max_drawdown=statistics.max_drawdown(returns),
        cagr=statistics.cagr(returns, len(returns) / per_year) if len(returns) >= SESSIONS_PER_YEAR else None,
        sharpe=ratio.value if ratio else None,
    )


def sensitivity(played: Variant, variants: Sequence[Variant]) -> Sensitivity | None:
    """Compare a backtest with its variants, and find the range over rebalance days; None without variants."""
    if not variants:
        return None
    days = [each for each in variants if each.kind is VariantKind.REBALANCE_DAY]
    others = [each for each in variants if each.kind is not VariantKind.REBALANCE_DAY]
    return Sensitivity(
        played=_row(played, played),
        rows=tuple(_row(each, played) for each in others),
        rebalance_days=tuple(_row(each, played) for each in days),
        band=_band(days, played),
        needed_days=FEWEST,
    )


def _row(of: Variant, played: Variant) -> VariantRow:
    change = None if of.cagr is None or played.cagr is None else of.cagr - played.cagr
    return VariantRow(**{**asdict(of), "kind": of.kind.value}, cagr_change=change)


def _band(days: Sequence[Variant], played: Variant) -> CagrBand | None:
    """Return the range of annual growth over rebalance days; None for too few of them, or too short a run."""
    rates = sorted(each.cagr for each in days if each.cagr is not None)
    if len(rates) < FEWEST:
        return None
    first, median, third = quantiles(rates, n=4, method="inclusive")
    below = None if played.cagr is None else sum(rate < played.cagr for rate in rates)
    return CagrBand(len(rates), rates[0], first, median, third, rates[-1], below)
