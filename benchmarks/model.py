"""Measure what a decision of a learned model costs: its 60 inputs from bars, and the answer of its own process.

The networks are as large as those that are trained: two layers of 256. What their weights are makes no difference.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import onnxruntime

from benchmarks.features import BARS_A_SESSION, HOURS, WIDTH_S, Stored, listed, walked
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tests.kit.fakes.networks import NAMES, Signed, card, deep, probe, results, scaling
from tradebot.adapters.models.folder import Parts
from tradebot.adapters.models.running import member_of
from tradebot.adapters.plugins.confinement import descendants
from tradebot.adapters.plugins.plugin import Surroundings
from tradebot.adapters.plugins.protocol import Bounds
from tradebot.app.policy import PolicyStrategy
from tradebot.desk.features import BarFeatures
from tradebot.learning.acting import Member
from tradebot.learning.card import Model, Probe
from tradebot.model.decision import Decision
from tradebot.model.view import FeatureNeed, FeatureRow, Situation, StrategyView
from tradebot.signals.features import features
from tradebot.venues.ibkr.capabilities import IBKR

DECISIONS, WIDTH = sized((500, 256), (5, 16))
MONEY = Decimal(100_000)
BOUND_MS, BOUND_MB = 100, 400
NEED = FeatureNeed("5Min", (), optional=tuple(name for name in NAMES if not features()[name].of_the_moment))
LAST = HOURS[-1]
BEFORE = LAST.open.date() - timedelta(days=1)
"""The day of the last known result of each model."""


def trained(seed: int) -> Parts:
    """Return a model of all features, which answers its stored observations as its network does."""
    made = card(NAMES, results=results(0.001 * seed, -0.0005, last=BEFORE))
    graph, shown = deep(WIDTH, made.inputs, seed), probe(made.inputs).observations
    member = member_of(Model("0" * 16, made, scaling(NAMES), probe(made.inputs), graph))
    assert isinstance(member, Member)
    return Parts(made, scaling(NAMES), Probe(shown, tuple(tuple(member.run(one, ())[0]) for one in shown)), graph)


def seen(now: datetime, row: FeatureRow | None) -> StrategyView:
    """Return what a policy sees at a moment; what isn't in bars has a value of no interest."""
    assert row is not None
    values: Mapping[str, float] = {**dict.fromkeys(NAMES, 0.5), **row.values}
    rows = {("ES", "5Min"): FeatureRow(row.at, values)}
    return StrategyView(now, ("ES",), features=rows, situation=Situation(LAST, MONEY, MONEY, {}, 0))


def resident_mb(processes: frozenset[int]) -> float:
    """Return how much memory processes have, as the system counts it; what they share counts in each."""
    pages = (int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in processes)
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def figures(place: Path) -> Iterator[Figure]:
    """Yield a line for each measurement."""
    signed, bars = Signed(place), BarFeatures(Stored(walked()), listed, IBKR.day)
    one, three = [signed.write(trained(1))], [signed.write(trained(seed)) for seed in (1, 2, 3)]
    surroundings = Surroundings(Bounds(30.0, 2**31), os.environ, (place,))
    for name, models, mode in (("one model", one, "inference"), ("three models together", three, "ensemble")):
        settings = signed.settings(*models, mode=mode, rule=None)
        with closing(PolicyStrategy(settings, surroundings, "policy")) as policy:
            began = time.perf_counter()
            at = LAST.open + timedelta(seconds=WIDTH_S)
            assert not isinstance(policy.propose(seen(at, bars.row(NEED, "ES", at, "", None))), Decision)
            started_ms, whole, answers = 1_000 * (time.perf_counter() - began), list[float](), list[float]()
            for number in range(DECISIONS):
                now = LAST.open + timedelta(seconds=WIDTH_S * (1 + number % BARS_A_SESSION))
                began = time.perf_counter()
                view = seen(now, bars.row(NEED, "ES", now, "", None))
                asked = time.perf_counter()
                assert not isinstance(policy.propose(view), Decision)
                whole.append(1_000 * (time.perf_counter() - began))
                answers.append(1_000 * (time.perf_counter() - asked))
            memory = resident_mb(descendants())
        late = int(0.99 * DECISIONS)
        yield Figure(f"{name}: start and first answer", "", started_ms, "ms")
        yield Figure(
            f"{name}: a decision, p99", f"median {statistics.median(whole):.1f}", sorted(whole)[late], "ms", BOUND_MS
        )
        yield Figure(
            f"{name}: of that the answer, p99", f"median {statistics.median(answers):.2f}", sorted(answers)[late], "ms"
        )
        yield Figure(f"{name}: memory of its processes", "", memory, "MB", BOUND_MB)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        show(f"a learned model of 60 inputs, by ONNX Runtime {onnxruntime.__version__}", figures(Path(folder)))
