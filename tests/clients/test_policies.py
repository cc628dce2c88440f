"""skfolio and arch, which share no code with this project, judge the splits, ratios and comparisons of the gate.

Like the other libraries they are development tools: `make clients` fetches them, and without them this test skips,
saying so.
"""

import json
import subprocess
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest

from benchmarks.support.policies import Study, shipped, study
from tests.kit.trades import returns_of
from tests.kit.values import there
from tradebot.lab.performance.chance import Resampling, best_by_chance
from tradebot.lab.performance.statistics import moments_of_returns, probabilistic_sharpe
from tradebot.lab.selection.multiple_testing import long_variances, superiority
from tradebot.lab.selection.objectives import measure_objective
from tradebot.lab.selection.policies import AGAINST, BLOCK, FLAT, PolicyFigures
from tradebot.lab.selection.splits import SessionCut, SplitMethod, paths, rolling, splits
from tradebot.model.evidence import PolicyResults

HERE = Path(__file__).parent / "indicators"
INTERPRETER = HERE / ".venv" / "bin" / "python"
NEAR = 0.03
"""How far two p of so many resamples may be apart by chance: four standard errors at most."""
RULES = shipped().splits
DIVISIBLE = 60 * RULES.groups
"""So many sessions make equal groups; of others, the rest belongs elsewhere."""


def above(of: PolicyResults, name: str) -> Any:
    """Return what all configurations earned above a benchmark at equal volatility, by its definition."""
    own = PolicyFigures(of, of.trials, RULES)
    columns = {one.configuration: one.returns for one in of.tried} | {of.configuration: own.typical.returns}
    scaled = np.array([np.array(each) / np.std(each) for each in columns.values()]).T
    against = 0.0 if name == FLAT else np.array(of.benchmarks[name]) / np.std(of.benchmarks[name])
    found = scaled - (against if name == FLAT else np.asarray(against)[:, None])
    return found / np.sqrt(long_variances(found, BLOCK))


def judged(of: PolicyResults, path: Path) -> Any:
    given = {
        "days": [day.isoformat() for day in of.calendar],
        "sessions": DIVISIBLE,
        "groups": RULES.groups,
        "judged": RULES.judged,
        "gap": RULES.embargo_sessions,
        "train": RULES.train_months,
        "test": RULES.test_months,
        "returns": of.runs[0].returns,
        "ratios": ratios(of),
        "block": BLOCK,
        "above": [above(of, name).tolist() for name in AGAINST],
    }
    path.write_text(json.dumps(given))
    command = (str(INTERPRETER), str(HERE / "policies.py"), str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ratios(of: PolicyResults) -> list[float]:
    found = measure_objective("sharpe", np.array([one.returns for one in of.tried]).T, 1)
    return [one for one in found if one is not None]


@pytest.mark.skipif(not INTERPRETER.exists(), reason="the other libraries are not here: make clients")
def test_splits_ratios_and_comparisons_of_the_gate_are_those_of_other_libraries(tmp_path: Path) -> None:
    of = study(4, Study(2.0))
    theirs = judged(of, tmp_path / "given.json")
    cut = SessionCut(SplitMethod.CROSS_VALIDATION, RULES.groups, RULES.judged)
    ours = splits(cut, DIVISIBLE, RULES.embargo_sessions)
    assert sorted(theirs["crossed"]["splits"]) == sorted([one.inside.tolist(), one.outside.tolist()] for one in ours)
    assert theirs["crossed"]["paths"] == len(paths(cut))
    walked = [[one.inside.tolist(), one.outside.tolist()] for one in rolling(RULES, of.calendar)]
    # The calendar begins on the second of a month, which ours counts as a whole one. Theirs leaves out the last too.
    assert theirs["walked"] == walked[1:-1]
    moments, trials = moments_of_returns(of.runs[0].returns), ratios(of)
    assert moments is not None
    best = best_by_chance(len(trials), stdev(trials))
    assert probabilistic_sharpe(moments) == pytest.approx(theirs["probabilistic"], abs=1e-9)
    assert best == pytest.approx(theirs["best"], rel=1e-9)
    assert probabilistic_sharpe(moments, best) == pytest.approx(theirs["deflated"], abs=1e-9)
    own = PolicyFigures(of, of.trials, RULES)
    for name, found in zip(AGAINST, theirs["compared"], strict=True):
        p = there(own.p(name))
        assert p == pytest.approx(found["p"], abs=NEAR), name
        if abs(p - 0.05) > NEAR:
            assert (p <= 0.05) is bool(found["superior"]), name


HOW = Resampling(resamples=4_000, mean_block=10)


@pytest.mark.skipif(not INTERPRETER.exists(), reason="the other libraries are not here: make clients")
def test_reality_check_and_spa_are_those_of_arch(tmp_path: Path) -> None:
    matrices = [returns_of(seed, sharpe, 300, 12) for seed, sharpe in enumerate((0.0, 0.8, 1.5, -0.5))]
    matrices[1][:, :6] -= 0.001
    matrices[2][1:] += 0.3 * matrices[2][:-1].copy()
    scaled = [one / np.sqrt(long_variances(one, HOW.mean_block)) for one in matrices]
    path = tmp_path / "returns.json"
    path.write_text(json.dumps({"block": HOW.mean_block, "matrices": [one.tolist() for one in (*matrices, *scaled)]}))
    command = (str(INTERPRETER), str(HERE / "superiority.py"), str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    judged = json.loads(done.stdout)
    for ours, plain, divided in zip(matrices, judged[: len(matrices)], judged[len(matrices) :], strict=True):
        found = superiority(ours, HOW)
        assert found is not None
        assert found.reality_check == pytest.approx(plain["upper"], abs=NEAR)
        named = {"lower": found.spa_lower, "consistent": found.spa, "upper": found.spa_upper}
        if min(named.values()) < 1:
            assert named == pytest.approx(divided, abs=NEAR)
