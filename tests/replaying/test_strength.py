"""What was decided about a stronger or a weaker candidate tells what is decided about one between."""

from tests.kit.values import candidate
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.replaying.asking import Question, Said
from tradebot.replaying.strength import COVERAGE, SCORE, Strength, but_strength, strength_known

WEAK = Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN, 0.1, 0.2)
THIN = Decision(Gate.COVERAGE, Verdict.FAIL, Reason.COVERAGE_BELOW_MIN, 0.5, 0.6)
SPREAD = Decision(Gate.SPREAD, Verdict.FAIL, Reason.SPREAD_TOO_WIDE)
WIDE = {Question(Gate.SPREAD): SPREAD}


def scored(score: float, coverage: float = 1.0) -> Candidate:
    return replace(candidate("AAPL"), score=score, coverage=coverage)


def test_a_stronger_one_than_one_that_is_strong_enough_is_decided_alike() -> None:
    kept = [Strength(0.3, 0.8, Said(WIDE, through=False))]
    assert strength_known(kept, scored(-0.4, 0.9)) == Said(WIDE, through=False)
    assert strength_known(kept, scored(0.2, 0.9)) is None
    assert strength_known(kept, scored(0.4, 0.7)) is None


def test_a_weaker_one_than_one_that_is_too_weak_is_refused_with_its_own_score() -> None:
    kept = [Strength(0.1, 0.8, Said({SCORE: WEAK, **WIDE}, through=False))]
    found = strength_known(kept, scored(0.05, 0.8))
    assert found is not None
    assert found.failed[SCORE].observed == 0.05
    assert [*found.failed] == [SCORE, *WIDE]
    assert strength_known(kept, scored(0.15, 0.8)) is None
    assert strength_known([Strength(0.3, 0.5, Said({COVERAGE: THIN}, through=False))], scored(0.4, 0.5)) is None


def test_candidates_that_differ_only_in_strength_are_equal_without_it() -> None:
    assert but_strength(scored(0.1)) == but_strength(scored(0.4, 0.5))
    refused = replace(scored(0.1), decisions=(replace(SPREAD, gate=Gate.STRATEGY, about="cluster"),))
    assert but_strength(refused) != but_strength(scored(0.1))
