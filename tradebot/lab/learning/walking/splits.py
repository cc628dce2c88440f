"""Split a walk into training and evaluation periods, and combine the evaluation periods into paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from tradebot.errors import OperatorError
from tradebot.lab.learning.training.training_rows import SessionRange
from tradebot.lab.selection.splits import Places, SplitMethod, across_groups, groups_of, rolling
from tradebot.model.evidence import SessionSpan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from tradebot.lab.backtest.run import BacktestPlan
    from tradebot.model.promotion import SplitRules

Way = tuple[tuple[int, int], ...]
"""A path: for each evaluated period, the split that evaluates it, and the index among that split's periods."""


class WalkSplit(Struct, frozen=True):
    """One split of a walk: the periods on which models are trained, and those on which they are evaluated, oldest
    first.
    """

    trained: tuple[SessionSpan, ...]
    judged: tuple[SessionSpan, ...]


def splits_of(
    plan: BacktestPlan, market: Sequence[date], by: SplitMethod = SplitMethod.WALK_FORWARD
) -> tuple[WalkSplit, ...]:
    """Split these sessions according to the settings under promotion.splits; raise OperatorError if there is no
    split.
    """
    rules = plan.settings.promotion.splits
    if by is SplitMethod.CROSS_VALIDATION:
        return _across_groups(rules, market)
    splits = tuple(
        WalkSplit(_spans(market, split.inside), _spans(market, split.outside)) for split in rolling(rules, market)
    )
    if not splits:
        raise OperatorError(
            f"{len(market)} sessions leave no month to evaluate after {rules.train_months} months of training",
            "give a longer market, or set promotion.splits.train_months",
        )
    return splits


def newest_sessions(rules: SplitRules, market: Sequence[date]) -> SessionRange:
    """Return a market's last sessions, over as many months as a split trains on; the last month counts as a whole
    one.
    """
    months = [12 * day.year + day.month for day in market]
    first = next(day for day, month in zip(market, months, strict=True) if month > months[-1] - rules.train_months)
    return SessionRange(first, market[-1])


def _across_groups(rules: SplitRules, market: Sequence[date]) -> tuple[WalkSplit, ...]:
    groups = groups_of(rules.groups, len(market))
    walk_splits = [
        WalkSplit(
            _spans(market, group.inside),
            tuple(span for each in groups if np.isin(each, group.outside).all() for span in _spans(market, each)),
        )
        for group in across_groups(rules, market)
    ]
    if not walk_splits or not all(split.trained for split in walk_splits):
        raise OperatorError(
            f"{len(market)} sessions in {rules.groups} groups leave none for training if {rules.judged} are evaluated",
            "give a longer market, or set promotion.splits.groups",
        )
    return tuple(walk_splits)


def _spans(market: Sequence[date], places: Places) -> tuple[SessionSpan, ...]:
    """Return the sessions at these indices, as few periods as possible."""
    begins = places[np.diff(places, prepend=-2) > 1]
    ends = places[np.diff(places, append=len(market) + 1) > 1]
    return tuple(SessionSpan(market[first], market[last]) for first, last in zip(begins, ends, strict=True))


def paths_of(splits: Sequence[WalkSplit]) -> tuple[Way, ...]:
    """Combine the evaluation periods of splits into paths; a walk-forward evaluation has one path.

    Each path evaluates each session once. For each period, the first path uses the first split that evaluates it, the
    second path uses the next such split, and so on.
    """
    judging: dict[SessionSpan, list[tuple[int, int]]] = {}
    for index, split in enumerate(splits):
        for part, span in enumerate(split.judged):
            judging.setdefault(span, []).append((index, part))
    return tuple(zip(*(judging[span] for span in sorted(judging, key=lambda span: span.first)), strict=True))
