"""Libraries that share no code with this project judge the indicators and the gaps that it reads from closed bars.

TA-Lib judges Wilder's smoothing and the features that it has, and smartmoneyconcepts the gaps. Like the other clients,
both are development tools: `make clients` fetches them, and without it these tests skip, saying so.
"""

import json
import math
import random
import subprocess
from array import array
from decimal import Decimal
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest

from benchmarks.support.policies import Study, shipped, study
from tests.kit.signals.series import SPEC, in_ticks, series_of, ticks
from tests.kit.trades import returns_of
from tests.kit.values import there
from tradebot.lab.performance.chance import Resampling, best_by_chance
from tradebot.lab.performance.statistics import moments_of_returns, probabilistic_sharpe
from tradebot.lab.selection.multiple_testing import long_variances, superiority
from tradebot.lab.selection.objectives import measure_objective
from tradebot.lab.selection.policies import AGAINST, BLOCK, FLAT, PolicyFigures
from tradebot.lab.selection.splits import SessionCut, SplitMethod, paths, rolling, splits
from tradebot.model.evidence import PolicyResults
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.signals.features import columns, feature_of, frame_of
from tradebot.signals.structures.bars import Smoothing, atr, bars_of, directional
from tradebot.signals.structures.structures import Direction, ReadingKind, structures

HERE = Path(__file__).parent / "indicators"
INTERPRETER = HERE / ".venv" / "bin" / "python"
LENGTH, BARS = 14, 600


def smooth(seed: int) -> Series:
    """Return bars whose prices have all their digits, so that nothing is a tie."""
    chance, rows, price = random.Random(seed), [], 100.0  # noqa: S311 - replayable
    for _ in range(BARS):
        close = price * math.exp(chance.gauss(0, 0.01))
        above, below = (abs(chance.gauss(0, 0.004)) for _ in "ud")
        rows.append((price, max(price, close) * (1 + above), min(price, close) * (1 - below), close))
        price = close * (1 + chance.gauss(0, 0.003))
    return with_volume(series_of(rows), chance)


def with_volume(series: Series, chance: random.Random) -> Series:
    return replace(series, volume=array("d", [float(chance.randint(10, 5_000)) for _ in series.starts]))


SERIES = [
    *(smooth(seed) for seed in range(5)),
    # In whole ticks, differences are exact in floats too, and many are ties.
    *(with_volume(series_of(in_ticks(ticks(seed, BARS), Decimal(1))), random.Random(seed)) for seed in range(5)),  # noqa: S311
]


@pytest.fixture(scope="module")
def judgments(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what the libraries find in each series."""
    if not INTERPRETER.exists():
        pytest.skip("the other libraries are not here: make clients")
    path = tmp_path_factory.mktemp("judged") / "bars.json"
    names = ("open", "high", "low", "close", "volume")
    path.write_text(json.dumps([{name: list(getattr(series, name)) for name in names} for series in SERIES]))
    command = (str(INTERPRETER), str(HERE / "judgment.py"), str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={"SMC_CREDIT": "0"})
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_wilder_columns_are_those_of_ta_lib(judgments: list[dict[str, Any]]) -> None:
    for series, judged in zip(SERIES, judgments, strict=True):
        found = directional(series, LENGTH, Smoothing.WILDER)._asdict() | {"atr": atr(series, LENGTH, Smoothing.WILDER)}
        for name, column in found.items():
            expected = judged[name]
            assert [value is None for value in column] == [value is None for value in expected], name
            known = [value for value in column if value is not None]
            assert known == pytest.approx([value for value in expected if value is not None], rel=1e-9), name
            assert len(known) > BARS - 2 * LENGTH


def test_features_are_those_of_ta_lib(judgments: list[dict[str, Any]]) -> None:
    for series, judged in zip(SERIES, judgments, strict=True):
        expected = judged["features"]
        frame = frame_of(replace(series, adjusted=True), ())
        found = columns(frame, expected)
        for name, column in found.items():
            first = feature_of(name).bars - 1
            assert math.isnan(column[first - 1])
            # Where nothing moved, TA-Lib has a number and we have none. Its K begins with its D.
            compared = [(ours, theirs) for ours, theirs in zip(column[first:], expected[name][first:], strict=True)]
            known = [(ours, theirs) for ours, theirs in compared if not math.isnan(ours) and theirs is not None]
            assert len(known) > len(compared) - 5, name
            assert [ours for ours, _ in known] == pytest.approx([theirs for _, theirs in known], rel=1e-6, abs=1e-6), (
                name
            )


def test_gaps_whose_middle_bar_moves_their_way_are_those_of_smartmoneyconcepts(judgments: list[dict[str, Any]]) -> None:
    count = 0
    for series, judged in zip(SERIES, judgments, strict=True):
        found = structures(series, replace(SPEC, gap_minimum=Decimal(0)))
        places = {end_s: place for place, end_s in enumerate(bars_of(series).ends_s)}
        ended = {end.reading: places[end.at] for end in found.ended}
        gaps = set()
        for gap in found.readings:
            sign = 1 if gap.direction is Direction.LONG else -1
            # The library names a gap after its middle bar, which has to rise for a long and fall for a short.
            middle = gap.bar + 1
            if gap.kind is ReadingKind.GAP and sign * (series.close[middle] - series.open[middle]) > 0:
                gaps.add((sign, middle, gap.low, gap.high, ended.get(gap, 0)))
        assert gaps == {tuple(gap) for gap in judged["gaps"]}
        count += len(gaps)
    assert count > 100


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
