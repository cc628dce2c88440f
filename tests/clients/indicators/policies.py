"""What skfolio and arch find of splits, Sharpe ratios and comparisons: `policies.py GIVEN.json` prints it as JSON.

The file holds the days of a calendar, how it is split, returns of one series, the Sharpe ratios of all trials, and for
each benchmark a matrix of what trials earned above it, each column divided by its deviation in the long run.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arch.bootstrap import SPA, StepM
from skfolio import measures
from skfolio.model_selection import CombinatorialPurgedCV, WalkForward

REPS = 4000


def crossed(days: int, groups: int, judged: int, gap: int) -> dict[str, Any]:
    """Return each split as its places inside and outside, and how many paths there are."""
    cut = CombinatorialPurgedCV(n_folds=groups, n_test_folds=judged, purged_size=gap)
    found = [[inside.tolist(), np.concatenate(outside).tolist()] for inside, outside in cut.split(np.zeros((days, 1)))]
    return {"splits": found, "paths": int(cut.n_test_paths)}


def walked(days: list[str], train: int, test: int, gap: int) -> list[list[list[int]]]:
    """Return each split by calendar months as its places inside and outside."""
    cut = WalkForward(test_size=test, train_size=train, freq="MS", purged_size=gap)
    rows = pd.DataFrame(np.zeros((len(days), 1)), index=pd.DatetimeIndex(days))
    return [[inside.tolist(), outside.tolist()] for inside, outside in cut.split(rows)]


def compared(above: list[list[float]], block: int) -> dict[str, Any]:
    """Return the p of Hansen's test, and which trials are better one by one."""
    losses = -np.array(above)
    nothing = np.zeros(len(losses))
    test = SPA(nothing, losses, block_size=block, reps=REPS, bootstrap="stationary", seed=1)
    test.compute()
    steps = StepM(nothing, pd.DataFrame(losses), block_size=block, reps=REPS, bootstrap="stationary", seed=1)
    steps.compute()
    return {"p": float(test.pvalues["consistent"]), "superior": [int(one) for one in steps.superior_models]}


given = json.loads(Path(sys.argv[1]).read_text())
returns, ratios = np.array(given["returns"]), np.array(given["ratios"])
json.dump(
    {
        "crossed": crossed(given["sessions"], given["groups"], given["judged"], given["gap"]),
        "walked": walked(given["days"], given["train"], given["test"], given["gap"]),
        "probabilistic": measures.probabilistic_sharpe_ratio(returns),
        "best": measures.expected_max_sharpe_ratio(len(ratios), float(ratios.std(ddof=1))),
        "deflated": measures.deflated_sharpe_ratio(returns, ratios),
        "compared": [compared(one, given["block"]) for one in given["above"]],
    },
    sys.stdout,
)
