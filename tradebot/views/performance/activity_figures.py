"""Figures of how much an account was invested, how much it traded, and what that cost."""

from collections.abc import Sequence
from decimal import Decimal

from tradebot.views.performance.activity import Exposure, average_equity
from tradebot.views.performance.report import Figure, Unit
from tradebot.views.performance.returns import Path
from tradebot.views.slippage import TotalSlippage

SEEN, FILLS = "sessions", "fills of the bot's orders"
NO_TIME = "no equity is known, or no session in which it could be invested"


def activity_figures(
    path: Path,
    exposed: Exposure | None,
    traded_usd: Decimal,
    fees_usd: Decimal | None,
    costs: Sequence[TotalSlippage],
) -> tuple[Figure, ...]:
    """Return exposure, turnover and cost along a path. `fees_usd` is what was paid, as a positive amount."""
    average, seen = average_equity(path), len(path.steps)
    turned = float(traded_usd) / 2 / average if average else None

    def figure(name: str, label: str, unit: Unit, value: float | None) -> Figure:
        note = NO_TIME if value is None and seen else ""
        return Figure(name, label, unit, value, seen, 1, SEEN, note=note)

    return (
        figure("exposure", "Average exposure", Unit.FRACTION, exposed.gross if exposed else None),
        figure("net_exposure", "Long less short", Unit.FRACTION, exposed.net if exposed else None),
        figure("turnover", "Turnover", Unit.RATIO, turned),
        figure("traded", "Bought and sold", Unit.USD, float(traded_usd) if seen else None),
        figure("fees", "Fees", Unit.USD, float(fees_usd) if seen and fees_usd is not None else None),
        *(_slippage(each) for each in costs),
    )


def _slippage(of: TotalSlippage) -> Figure:
    value = float(of.total.usd) if of.total else None
    note = f"{of.total.bps:+.1f} bps" if of.total else "no midpoint is known"
    label = f"Slippage at {of.against}"
    return Figure(f"slippage_{of.against}", label, Unit.USD, value, of.known, 1, FILLS, note=note if of.of else "")
