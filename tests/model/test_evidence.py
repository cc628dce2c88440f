"""Results of a policy that contradict themselves say what is wrong with them."""

from typing import Any

import pytest

from benchmarks.support.policies import SESSIONS, Study, study
from tradebot.model.evidence import PolicyResults, problems
from tradebot.model.struct_tools import replace

GOOD = study(1, Study(configurations=3))
RUN = GOOD.runs[0]


def with_run(**changes: Any) -> PolicyResults:
    return replace(GOOD, runs=(replace(RUN, **changes), *GOOD.runs[1:]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(GOOD, format=2), "it has format 2, and this version reads 1"),
        (replace(GOOD, runs=()), "none of its runs has a session"),
        (replace(GOOD, per_year=0), "it has 0 sessions per year, not 1 to 1,000"),
        (replace(GOOD, calendar=GOOD.calendar[::-1]), "its calendar is out of order"),
        (replace(GOOD, sessions=(GOOD.sessions[0],) * SESSIONS), "its judged sessions are out of order"),
        (replace(GOOD, calendar=GOOD.calendar[:-1]), "an evaluated session isn't in the calendar"),
        (replace(GOOD, benchmarks={}), "it lacks the benchmark buy_and_hold"),
        (replace(GOOD, configuration="other"), "the configuration isn't among those that were tried"),
        (replace(GOOD, trials=2), "it reports 2 trials but contains the returns of 3 configurations"),
        (with_run(seed=1), "a seed appears twice"),
        (with_run(seed=9), "a split lacks the model of a seed"),
        (with_run(returns=RUN.returns[1:]), "seed 0 has 499 returns of 500 sessions"),
        (with_run(doubled=(float("nan"), *RUN.doubled[1:])), "seed 0 has a return that isn't a number above -1"),
        (with_run(later=(-1.0, *RUN.later[1:])), "seed 0 has a return that isn't a number above -1"),
        (
            replace(GOOD, tried=(replace(GOOD.tried[0], returns=()), *GOOD.tried[1:])),
            "configuration 0 has 0 returns of 500 sessions",
        ),
    ],
)
def test_contradiction_is_named(wrong: PolicyResults, said: str) -> None:
    assert next(problems(wrong)) == said


def test_coherent_results_have_no_problem() -> None:
    assert [*problems(GOOD)] == []
