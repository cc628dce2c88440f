"""Measure how often the gate passes agents that learned from shuffled returns: ten policies of five seeds of PPO.

What each agent is shown in training belongs to another bar than the one that it earns by, so nothing can be learned. It
is judged in the sessions after, as they are. Training and judging use arrays; two sessions of each policy are played
by the road as well, and have to earn the same. Needs PyTorch: `.venv-rl/bin/python -m benchmarks.shuffled`, which
takes half an hour.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.policies import passed, passes
from benchmarks.support.figures import Figure, show
from benchmarks.support.policies import A_YEAR, calendar, ratio_of, shipped
from benchmarks.support.sizes import sized
from tests.lab.learning.arrays.drawing import plan
from tradebot.lab.backtest.run import begin
from tradebot.lab.learning.arrays.engine_choice import Chosen, TapeTurns
from tradebot.lab.learning.arrays.episode_data import Tape, tapes_of
from tradebot.lab.learning.environment import ACTIONS, Environment, Play, Terms, on_the_road
from tradebot.lab.learning.training.job import Job
from tradebot.lab.learning.training.sb3_trainer import Trained, trained
from tradebot.lab.learning.training.training import span_of
from tradebot.lab.learning.training.training_rows import Within
from tradebot.model.policy_results import BENCHMARKS, FORMAT, PolicyResults, Run, TriedReturns
from tradebot.model.values import replace

POLICIES, SEEDS, STEPS = sized((10, 5, 20_000), (1, 2, 1_000))
SOME_DAYS = 4
TRAINED, JUDGED = sized((60, 260), (1, 2))
"""How many sessions agents learn from, and how many they are judged in."""
START = date(2025, 1, 6)
NAMES = ("return_1", "return_3", "return_12", "rsi_14", "efficiency_10", "close_place", "zscore_20")
LIMITS = {"max_session_entries": 20, "max_symbol_entries": 20, "price_collar_fraction": 0.5}
CASH, TICK_AND_FEE = 400_000, 1.25 + 0.62
BREAK = timedelta(minutes=30)
"""Between sessions, the policy isn't asked for longer than this."""
Policy = Callable[[NDArray[np.float32]], int]


class Ground(NamedTuple):
    """What agents learn from, and what they are judged in."""

    trained: tuple[Tape, ...]
    judged: tuple[Tape, ...]


class Earned(NamedTuple):
    """What each session earned, as a fraction of the equity at its start, the same at doubled costs, and trades."""

    returns: tuple[float, ...]
    doubled: tuple[float, ...]
    trades: int


@cache
def ground() -> Ground:
    """Return the sessions, of which the first ones are learned from."""
    of = plan("MES", START, TRAINED + JUDGED, LIMITS, cash=CASH)
    run = begin(of, [])
    days = [session.date for session in run.made.sessions]
    run.made.close()
    before, after = Within(None, days[TRAINED - 1]), Within(days[TRAINED], None)
    learned_from, judged_in = (span_of(of, "policy", NAMES, [within]) for within in (before, after))
    scaling = learned_from.scaling
    terms = Terms(of, scaling)
    return Ground(tapes_of(terms, scaling, learned_from.rows), tapes_of(terms, scaling, judged_in.rows))


def played_on(tapes: Sequence[Tape]) -> Callable[[Terms], Play]:
    by_dates = {(one.terms.first, one.terms.last): one for one in tapes}
    return lambda terms: TapeTurns(by_dates[terms.first, terms.last])


def learned(seed: int) -> Trained:
    """Return what PPO learns from features that belong to other bars."""
    chance = np.random.default_rng(seed)
    tapes = [one._replace(shown=chance.permutation(one.shown)) for one in ground().trained]
    job = Job("ppo", seed, STEPS, {"n_steps": min(1024, STEPS)}, NAMES)
    return trained(job, Chosen(tuple(one.terms for one in tapes), played_on(tapes)), lambda steps: None)


def acting(network: Trained) -> Policy:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(network.graph, options)
    return lambda shown: ACTIONS[int(np.argmax(session.run(["action"], {"observation": shown[None]})[0]))]


def earned(policy: Policy, spans: Sequence[Terms], play: Callable[[Terms], Play], *, later: bool = False) -> Earned:
    """Return what a policy earns in these sessions; `later`, each target follows a bar after its decision.

    A session's return is that from its last decision to the last one of the session before.
    """
    returns, doubled, trades = list[float](), list[float](), 0
    for terms in spans:
        with Environment(terms, play) as episode:
            shown, info = episode.reset()
            start, costs, wanted, over = float(info["equity"]), 0.0, 0, False
            while not over:
                chosen = policy(shown)
                wanted, act = chosen, (wanted if later else chosen)
                before = info
                shown, _, over, cut, info = episode.step(act)
                over = over or cut
                turned = abs(info["position"] - before["position"])
                costs, trades = costs + turned * TICK_AND_FEE, trades + (turned > 0)
                if over or info["at"] - before["at"] > BREAK:
                    equity = float(info["equity"])
                    returns.append((equity - start) / start)
                    doubled.append((equity - start - costs) / start)
                    start, costs = equity, 0.0
    return Earned(tuple(returns), tuple(doubled), trades)


def results(number: int) -> PolicyResults:
    """Return what the five seeds of a policy showed, in the shape that the gate reads."""
    tapes, runs = ground().judged, list[Run]()
    spans, play = [one.terms for one in tapes], played_on(tapes)
    for seed in range(SEEDS):
        policy = acting(learned(number * SEEDS + seed))
        plain, later = earned(policy, spans, play), earned(policy, spans, play, later=True)
        runs.append(Run(seed, 0, plain.returns, plain.doubled, later.returns, plain.trades))
        road = earned(policy, [_first_days(spans[0])], on_the_road)
        assert road.returns[0] == plain.returns[0], "the road earns what arrays do"
    drawn = np.random.default_rng([number, 7])
    benchmarks = {
        "buy_and_hold": earned(lambda shown: 1, spans, play).returns,
        "rule": earned(lambda shown: int(drawn.integers(-1, 2)), spans, play).returns,
        "logistic": earned(lambda shown: int(drawn.integers(-2, 3)), spans, play).returns,
    }
    assert benchmarks.keys() == {*BENCHMARKS}
    typical = sorted(runs, key=lambda run: ratio_of(run.returns))[len(runs) // 2].returns
    every, days, splits = calendar(shipped().splits)
    many = len(runs[0].returns)
    return PolicyResults(
        format=FORMAT, name=f"shuffled {number}", configuration=str(number), program="0", features={}, data={},
        per_year=A_YEAR, calendar=every, splits=splits, sessions=days[:many], runs=tuple(runs), benchmarks=benchmarks,
        tried=(TriedReturns(str(number), typical),), trials=1,
    )  # fmt: skip


def _first_days(terms: Terms) -> Terms:
    """Return the first sessions of a span: the next decision after the first one tells what that earned."""
    assert terms.first is not None, "a tape has its dates"
    return replace(terms, last=terms.first + timedelta(days=SOME_DAYS))


def figures() -> Iterator[Figure]:
    if not find_spec("torch"):
        yield Figure("policies", "not measured: PyTorch isn't installed; make demo-learning", 0)
        return
    found = [results(number) for number in range(POLICIES)]
    ratios = sorted(ratio_of(run.returns) * A_YEAR**0.5 for one in found for run in one.runs)
    yield Figure("sessions judged", f"of {POLICIES * SEEDS} agents, {STEPS:,} steps each", len(found[0].sessions))
    yield Figure("Sharpe ratio a year", f"median; from {ratios[0]:.2f} to {ratios[-1]:.2f}", ratios[len(ratios) // 2])
    yield Figure("trades", "of the agent with the fewest", min(run.trades for one in found for run in one.runs))
    share = passed(found.__getitem__, passes, 0, POLICIES)
    yield Figure("policies that pass", f"of {POLICIES}: {share.low:.1%} to {share.high:.1%}", 100 * share.value, "%")


def main() -> None:
    show("PPO that learned from shuffled returns", figures())


if __name__ == "__main__":
    main()
