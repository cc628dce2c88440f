"""arch, which shares no code with this project, judges White's reality check and Hansen's test.

Like the other libraries it is a development tool: `make clients` fetches it, and without it this test skips, saying so.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.kit.trades import returns_of
from tradebot.lab.performance.chance import Resampling
from tradebot.lab.selection.multiple_testing import long_variances, superiority

HERE = Path(__file__).parent / "indicators"
INTERPRETER = HERE / ".venv" / "bin" / "python"
HOW = Resampling(resamples=4_000, mean_block=10)
NEAR = 0.03
"""How far two p of so many resamples may be apart by chance: four standard errors at most."""


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
