"""What the parts of a report assume that only longer accounts and backtests have, in sentences."""

from collections.abc import Iterator, Mapping

from tradebot.text import counted, noun
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
        Block.CHANCE: tuple(_of_chance(of.selected)),
        Block.SENSITIVITY: (
            "Each row is the same backtest with one thing changed. The band shows what the choice of the day alone "
            "does: nobody knows the best one before. Sharpe ratios here are over cash that earns nothing.",
        ),
    }
    return {block: texts for block, texts in every.items() if there[block]}


def _of_chance(of: Selected | None) -> Iterator[str]:
    yield (
        "Intervals are from resampled session returns, in blocks that begin anywhere and have random lengths "
        "(stationary bootstrap; Politis and Romano, 1994). They hold if the future is drawn from the same sessions; "
        "what never happened in them is in no interval."
    )
    if of is None:
        return
    known = (
        noun(of.known, f"only {of.known} of them is", f"only {of.known} of them are") if of.known else "none of them is"
    )
    by_chance = f"as by chance, because {known} known"
    spread = f"their Sharpe ratios spread {'as they did' if of.known >= KNOWN else by_chance}"
    yield (
        f"The deflated ratio takes this as the best of {counted(of.trials, 'trial')} that are independent, and assumes "
        f"that {spread} (Bailey and López de Prado, 2014). Trials that nobody counted make it too high."
    )
