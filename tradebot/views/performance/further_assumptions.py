"""What the parts of a report assume that only longer accounts and backtests have, in sentences."""

from collections.abc import Iterator, Mapping

from tradebot.model.text import noun
from tradebot.views.performance.deflated import KNOWN
from tradebot.views.performance.report import Block, Further, Selected


def further_assumptions(of: Further) -> Mapping[Block, tuple[str, ...]]:
    """Return the assumptions of the parts that are there."""
    there = {
        Block.YEARS: of.by_year,
        Block.ROLLING: of.rolling,
        Block.COSTS: of.costs,
        Block.CHANCE: of.chance or of.selected,
        Block.SENSITIVITY: of.sensitivity,
    }
    every: Mapping[Block, tuple[str, ...]] = {
        Block.YEARS: (
            "A year's drawdown begins at its own peaks. Exposure and turnover are as under Trading; costs are what was "
            "paid, and what fills cost against the midpoint on arrival.",
        ),
        Block.ROLLING: (
            "Spans are of 252 sessions and begin at each session, so they overlap: together they hold little more than "
            "the years do.",
        ),
        Block.COSTS: (
            "Drag is how much faster the account would have grown per year if this cost alone hadn't been paid, with "
            "the same trades. Interest that was earned is no cost. Slippage is against the midpoint of bid and ask "
            "when the order arrived, a gain negative.",
        ),
        Block.CHANCE: tuple(_of_chance(of)),
        Block.SENSITIVITY: (
            "Each row is the same backtest with one thing changed. The band shows what the choice of the day alone "
            "does: nobody knows the best one before. Sharpe ratios here are over cash that earns nothing.",
        ),
    }
    return {block: texts for block, texts in every.items() if there[block]}


def _of_chance(of: Further) -> Iterator[str]:
    if of.chance:
        yield (
            "Intervals are from resampled session returns, in blocks that begin anywhere and have random lengths "
            "(stationary bootstrap; Politis and Romano, 1994). They hold if the future is drawn from the same "
            "sessions; what never happened in them is in no interval."
        )
    if of.selected:
        yield _of_selection(of.selected)


def _of_selection(of: Selected) -> str:
    if of.trials == 1:
        return (
            "No other setting was counted as tried, so the deflated ratio is the PSR. Trials that nobody counted make "
            "it too high."
        )
    few = (
        noun(of.known, f"only {of.known} of them is", f"only {of.known} of them are") if of.known else "none of them is"
    )
    spread = "as they did" if of.known >= KNOWN else f"as by chance, because {few} known"
    return (
        f"The deflated ratio takes this as the best of {of.trials:,} independent trials, and assumes that their Sharpe "
        f"ratios spread {spread} (Bailey and López de Prado, 2014). Trials that nobody counted make it too high."
    )
