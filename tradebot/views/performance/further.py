"""What only longer accounts and backtests have to say: years, costs, chance, selection and sensitivity."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.evidence import Evidence
from tradebot.views.performance.by_year import rolling_figures, year_figures
from tradebot.views.performance.cautions import cautions
from tradebot.views.performance.chance import chance
from tradebot.views.performance.cost_drag import cost_kinds, costs_of
from tradebot.views.performance.deflated import selected
from tradebot.views.performance.history import History
from tradebot.views.performance.measured import Measured
from tradebot.views.performance.report import CurvePoint, Further, TradeRow
from tradebot.views.performance.return_figures import Returns
from tradebot.views.performance.sensitivity import played_as, sensitivity


class FurtherTerms(NamedTuple):
    """What else is known of an account: its returns, its curve, its trades, and the benchmark's name if it is known.

    `traded_usd` is the value of all that it bought and sold along its path.
    """

    returns: Returns
    curve: Sequence[CurvePoint]
    trades: Sequence[TradeRow]
    traded_usd: Decimal
    benchmark: str | None


def further(history: History, evidence: Evidence, measured: Measured, terms: FurtherTerms) -> Further:
    """Return these parts of a report, each empty or None if there is nothing to say."""
    way, rows, kinds = measured.way, measured.rows, cost_kinds(history)
    if rows is None:
        return Further((), (), None, None, None, None, ())
    return Further(
        by_year=year_figures(measured, history.fills, kinds),
        rolling=rolling_figures(way, rows),
        costs=costs_of(kinds, way, terms.traded_usd),
        chance=chance(way, rows, _names(terms.benchmark, measured)),
        selected=selected(terms.returns, evidence.trials),
        sensitivity=sensitivity(played_as(way, _closed(terms.trades)), evidence.variants),
        cautions=tuple(cautions(way.returns, terms.curve, terms.trades, terms.benchmark)),
    )


def _closed(trades: Sequence[TradeRow]) -> int:
    return sum(1 for trade in trades if trade.closed_at)


def _names(benchmark: str | None, measured: Measured) -> tuple[str, str]:
    """Return what the benchmark is called, alone and at the account's average exposure; empty if it isn't known."""
    exposed = measured.exposed
    return benchmark or "", f"{benchmark} at {exposed.gross:.0%}" if benchmark and exposed else ""
