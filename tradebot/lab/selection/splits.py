"""Split sessions into sessions for choosing among trials and sessions for judging, and keep the two apart.

Purging and embargo are from López de Prado, Advances in Financial Machine Learning, 2018, chapters 7 and 12. Sessions
for choosing are dropped if a position opened in them could last into a judged session. The same number of sessions is
dropped after each judged part.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from enum import StrEnum
from itertools import combinations, pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.model.promotion import SplitRules

Places = NDArray[np.int64]
FEWEST = 20
"""The least number of sessions for choosing, and for judging."""


class SplitMethod(StrEnum):
    """How the sessions are cut: by time alone, or into groups. With groups, some are judged after training on all the
    others.
    """

    WALK_FORWARD = "walk-forward"
    CROSS_VALIDATION = "cpcv"


class SessionCut(Struct, frozen=True):
    """How the sessions are cut into sessions for choosing and sessions for judging.

    In a walk-forward cut, the second half of the sessions is judged in `parts` parts, each with the trial that was best
    before it. In combinatorial purged cross-validation, the sessions are cut into `parts` groups, and every selection
    of `judged` groups is judged with the trial that is best in the others.
    """

    by: SplitMethod = SplitMethod.WALK_FORWARD
    parts: int = 5
    judged: int = 2


class ChoiceSplit(Struct, frozen=True):
    """One split, as indices of sessions: a trial is chosen by its results `inside`, and judged by those `outside`."""

    inside: Places
    outside: Places


def training_sessions(sessions: int) -> int:
    """Return how many sessions come before the first judged session in a walk-forward cut."""
    return sessions // 2


def splits(cut: SessionCut, sessions: int, gap: int) -> tuple[ChoiceSplit, ...]:
    """Return the splits of this many sessions, with a gap of `gap` sessions between parts; empty if there are too few
    sessions.

    `gap` is the longest holding time of a trial's positions, in sessions.
    """
    walking = cut.by is SplitMethod.WALK_FORWARD
    cuts = tuple(_walking(cut.parts, sessions, gap) if walking else _combined_splits(cut, sessions, gap))
    whole = (
        sum(len(split.outside) for split in cuts) if walking else min((len(split.outside) for split in cuts), default=0)
    )
    return cuts if cuts and whole >= FEWEST and all(len(split.inside) >= FEWEST for split in cuts) else ()


def of_policies(rules: SplitRules, calendar: Sequence[date]) -> Iterator[ChoiceSplit]:
    """Yield each split in which a learned policy may be judged: walk-forward splits, and splits across groups."""
    yield from rolling(rules, calendar)
    yield from across_groups(rules, calendar)


def across_groups(rules: SplitRules, calendar: Sequence[date]) -> Iterator[ChoiceSplit]:
    """Yield cross-validation splits by groups of sessions; yield nothing if there are fewer sessions than groups."""
    if len(calendar) >= rules.groups:
        cut = SessionCut(SplitMethod.CROSS_VALIDATION, rules.groups, rules.judged)
        yield from _combined_splits(cut, len(calendar), rules.embargo_sessions)


def rolling(rules: SplitRules, calendar: Sequence[date]) -> Iterator[ChoiceSplit]:
    """Yield splits by calendar months: train on some months, judge the next ones, and move on by a step.

    The first month counts as a whole month even if it isn't. The last split may judge fewer months.
    """
    months = np.array([12 * day.year + day.month for day in calendar], dtype=np.int64)
    if not len(months):
        return
    for begin in range(int(months[0]) + rules.train_months, int(months[-1]) + 1, rules.step_months):
        first, end = np.searchsorted(months, (begin, begin + rules.test_months))
        oldest = np.searchsorted(months, begin - rules.train_months)
        inside = np.arange(oldest, max(first - rules.embargo_sessions, oldest))
        if first < end and len(inside):
            yield ChoiceSplit(inside, np.arange(first, end))


def paths(cut: SessionCut) -> tuple[tuple[int, ...], ...]:
    """Return the paths of a cross-validation; each path lists which split judges each group.

    Each group is judged in as many splits as there are paths, and each path uses a different one of these splits.
    """
    chosen = [*combinations(range(cut.parts), cut.judged)]
    of_groups = [
        [index for index, judged_groups in enumerate(chosen) if group in judged_groups] for group in range(cut.parts)
    ]
    return tuple(zip(*of_groups, strict=True))


def _walking(parts: int, sessions: int, gap: int) -> Iterator[ChoiceSplit]:
    edges = np.linspace(training_sessions(sessions), sessions, parts + 1).astype(int)
    for begin, end in pairwise(edges):
        if end > begin:
            yield ChoiceSplit(np.arange(max(begin - gap, 0)), np.arange(begin, end))


def groups_of(parts: int, sessions: int) -> Sequence[Places]:
    """Divide a number of sessions into the groups of a cross-validation."""
    edges = np.linspace(0, sessions, parts + 1).astype(int)
    return [np.arange(begin, end) for begin, end in pairwise(edges)]


def _combined_splits(cut: SessionCut, sessions: int, gap: int) -> Iterator[ChoiceSplit]:
    for combination in combinations(groups_of(cut.parts, sessions), cut.judged):
        inside = np.ones(sessions, dtype=bool)
        for group in combination:
            # Before a judged group it is what a position reaches into it, after it the embargo.
            inside[max(group[0] - gap, 0) : group[-1] + 1 + gap] = False
        yield ChoiceSplit(np.flatnonzero(inside), np.concatenate(combination))
