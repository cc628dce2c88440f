"""What is known about a candidate from what was decided about one like it whose score is stronger or weaker."""

from collections.abc import Sequence
from typing import NamedTuple

from tradebot.model.candidate import Candidate
from tradebot.model.decision import Gate
from tradebot.model.values import replace
from tradebot.replaying.asking import Question, Said

SCORE, COVERAGE = Question(Gate.SCORE), Question(Gate.COVERAGE)


class Strength(NamedTuple):
    """What was decided about a candidate with a score of this magnitude, and with data for so much of it."""

    score: float
    coverage: float
    said: Said


def but_strength(candidate: Candidate) -> Candidate:
    """Return a candidate without what only tells how strong it is, so that equal ones differ by nothing else."""
    refusing = tuple(replace(one, observed=None, limit=None) for one in candidate.decisions if not one.passed)
    return replace(candidate, score=None, coverage=None, components=(), contracts=(), decisions=refusing)


def strength_known(kept: Sequence[Strength], candidate: Candidate) -> Said | None:
    """Return what is decided about a candidate if that follows from others that differ only in strength.

    A gate that lets a score through lets a stronger one through, and no gate but two looks at it.
    """
    score, coverage = abs(candidate.score or 0.0), candidate.coverage or 0.0
    for one in kept:
        failed = one.said.failed
        if one.score <= score and one.coverage <= coverage and SCORE not in failed and COVERAGE not in failed:
            return one.said
        if one.coverage == coverage and one.score >= score and SCORE in failed:
            return Said({**failed, SCORE: replace(failed[SCORE], observed=score)}, through=False)
    return None
