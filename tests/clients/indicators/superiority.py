"""What arch finds of trials: `superiority.py RETURNS.json` prints the p of the reality check and of the SPA as JSON.

The file holds a list of matrices of returns, a row for each session and a column for each trial, with the mean length
of a block. arch doesn't divide by deviations when it compares the best trials, so for the SPA, each column has to be
divided by its own.
"""

import json
import sys
from pathlib import Path

import numpy as np
from arch.bootstrap import SPA

REPS = 4000


def judge(returns: list[list[float]], block: int) -> dict[str, float]:
    """Return the p of a test whose losses are those of trials against nothing."""
    losses = -np.array(returns)
    test = SPA(np.zeros(len(losses)), losses, block_size=block, reps=REPS, bootstrap="stationary", seed=1)
    test.compute()
    return {str(name): float(value) for name, value in test.pvalues.items()}


given = json.loads(Path(sys.argv[1]).read_text())
json.dump([judge(one, given["block"]) for one in given["matrices"]], sys.stdout)
