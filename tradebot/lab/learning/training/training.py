"""Train a learned policy on a period of bars, and write it as a draft that a user can sign."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tradebot import __version__
from tradebot.adapters.models.files import write_draft
from tradebot.adapters.models.model_folder import ModelParts
from tradebot.adapters.text.canonical import json_text
from tradebot.errors import OperatorError
from tradebot.lab.backtest.identity import market_of
from tradebot.lab.learning.arrays.engine_choice import ChosenEpisodes, choose_episodes
from tradebot.lab.learning.environment import TIMEFRAME, EpisodeTerms, event_driven_episode
from tradebot.lab.learning.training.graphs import Layer, size_with_side
from tradebot.lab.learning.training.job import validate_job
from tradebot.lab.learning.training.sb3_trainer import Trained, require_torch, train_agent
from tradebot.lab.learning.training.training_rows import (
    EVERY,
    RETURN,
    FittedScaling,
    SessionRange,
    TrainingRow,
    fit_scaling,
    rows_of,
)
from tradebot.learning import model_card as cards
from tradebot.model.series import width_of
from tradebot.signals.features import STATE, DecisionState, features, state_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tradebot.lab.backtest.run import BacktestPlan
    from tradebot.lab.learning.training.job import TrainingJob

    Numbers = NDArray[np.float32]
    Doubles = NDArray[np.float64]


class TrainingSpan(NamedTuple):
    """What a policy is trained on: a backtest's plan, the policy's name, and the scaling fitted to all rows.

    `within` has the ranges of sessions, with gaps between them. Each range has its rows in `parts`, and is an episode
    of its own.
    """

    plan: BacktestPlan
    name: str
    within: tuple[SessionRange, ...]
    parts: tuple[tuple[TrainingRow, ...], ...]
    scaling: FittedScaling

    @property
    def rows(self) -> tuple[TrainingRow, ...]:
        """Return the rows of all spans, oldest first."""
        return tuple(row for part in self.parts for row in part)


class DraftFolder(NamedTuple):
    """A draft's path, whether its training was vectorized, and why not, if its agent supports vectorized training."""

    place: Path
    on_arrays: bool = False
    why: str = ""


class TrainingSummary(NamedTuple):
    """What a model's card says besides its job: all seeds of the run, and the number of configurations ever tried."""

    seeds: tuple[int, ...]
    trials: int


def span_of(
    plan: BacktestPlan,
    name: str,
    wanted: tuple[str, ...],
    spans: Sequence[SessionRange] = (EVERY,),
    progress: Callable[[int], None] = lambda rows: None,
) -> TrainingSpan:
    """Run the periods in `spans` once without trading, and return them with the scaling of their features.

    Nothing is read from sessions after a period. Raise OperatorError if the periods can't be used for training.
    """
    spans_with_rows = [*zip(spans, rows_of(plan, name, wanted, spans, progress), strict=True)]
    within, parts = zip(*((each, rows) for each, rows in spans_with_rows if rows), strict=True)
    return TrainingSpan(plan, name, within, parts, fit_scaling(wanted, [row.values for part in parts for row in part]))


def train(
    job: TrainingJob,
    span: TrainingSpan,
    path: Path,
    summary: TrainingSummary,
    progress: Callable[[int], None] = lambda steps: None,
) -> DraftFolder:
    """Train a job on a period, write the draft to `path` atomically, and return it.

    Raise DivergedError if the weights become NaN. Raise OperatorError if the job is invalid, a library isn't installed,
    or `path` can't be written.
    """
    job, draft = validate_job(job), DraftFolder(path)
    if job.of.steps is None:
        network = _logistic(job, span)
    else:
        require_torch(job.agent)
        spans = tuple(
            EpisodeTerms(span.plan, span.scaling, span.name, first=first, last=last) for first, last in span.within
        )
        episodes = ChosenEpisodes(spans, event_driven_episode)
        if job.of.on_arrays:
            episodes = choose_episodes(spans, span.scaling, span.parts, job.seed)
            draft = DraftFolder(path, not episodes.why, episodes.why)
        network = train_agent(job, episodes, progress)
    scaling = cards.Scaling(span.scaling.means, span.scaling.deviations)
    write_draft(path, ModelParts(_card(job, span, summary), scaling, _probe(job, span, network), network.graph))
    return draft


def _logistic(job: TrainingJob, span: TrainingSpan) -> Trained:
    """Return the network of a logistic regression, which takes the side on which it predicts the next bar."""
    width = width_of(TIMEFRAME)
    both = [(row, after) for row, after in zip(span.rows, span.rows[1:], strict=False) if after.at - row.at == width]
    moved = [(row, after.values[RETURN] > 0) for row, after in both if after.values[RETURN] != 0]
    shown = np.array([_scale_features(span.scaling, row.values) for row, _ in moved])
    line = regression(shown, np.array([rose for _, rose in moved]), float(job.values["c"]))
    weights = np.append(line.weights, np.zeros(len(STATE))).astype(np.float32)
    layer, size = Layer(weights[None], np.array([line.bias], dtype=np.float32)), float(job.values["size"]) / 2

    def answers(observations: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        return (np.sign(observations @ layer.weights.T + layer.bias) * size).astype(np.float32), memory

    return Trained(size_with_side(layer, size), answers)


def _scale_features(scaling: FittedScaling, values: Mapping[str, float]) -> NDArray[np.float32]:
    observed = scaling.observation(values, DecisionState(0.0, 0.0, 1.0, 0.0, 0, 0.0, 0))
    assert not isinstance(observed, str), "every row has every feature"
    return observed[: len(scaling.names)]


def _probe(job: TrainingJob, span: TrainingSpan, network: Trained) -> cards.Probe:
    """Return sample observations across the span, in states drawn with the job's seed, with the network's outputs."""
    chance, many = np.random.default_rng(job.seed), cards.PROBES
    chosen = [span.rows[index] for index in np.linspace(0, len(span.rows) - 1, many).astype(int)]
    states = [
        DecisionState(float(chance.integers(-2, 3)), chance.normal(0, 200), 100_000.0, chance.uniform(0, 0.1),
              int(chance.integers(0, 79)), chance.uniform(0, 1), int(chance.integers(0, 21)))
        for _ in chosen
    ]  # fmt: skip
    shown = np.array(
        [
            np.append(_scale_features(span.scaling, row.values), np.array(state_numbers(state), dtype=np.float32))
            for row, state in zip(chosen, states, strict=True)
        ],
        dtype=np.float32,
    )
    answers: list[Numbers] = []
    memories: list[Numbers] = []
    memory = np.zeros((1, network.memory), dtype=np.float32)
    for sample in shown:
        memories.append(memory[0])
        answer, memory = network.answers(sample[None], memory)
        answers.append(answer[0])
    return cards.Probe(_float_rows(shown), _float_rows(answers), _float_rows(memories) if network.memory else ())


def _float_rows(rows: Numbers | list[Numbers]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in rows)


def _card(job: TrainingJob, span: TrainingSpan, training_summary: TrainingSummary) -> cards.Card:
    available = features()
    digest = sha256(json_text(market_of(span.plan.spec)).encode()).hexdigest()
    series = f"{span.plan.settings.universe[0]} {TIMEFRAME}"
    return cards.Card(
        format=cards.FORMAT,
        name=f"{job.agent}-{job.seed}",
        agent=job.agent,
        action=job.of.action,
        recurrent=job.of.recurrent,
        timeframe=TIMEFRAME,
        features=tuple(cards.FeatureUsed(name, available[name].version) for name in job.features),
        data=tuple(cards.DataSpan(series, part[0].at.date(), part[-1].at.date(), digest) for part in span.parts),
        settings={**job.card_summary, cards.SEED: str(job.seed), cards.CONFIGURATION: job.configuration},
        seeds=training_summary.seeds,
        trials=training_summary.trials,
        results=(),
        program=__version__,
        created_at=datetime.now(UTC),
    )


STEPS, ENOUGH = 100, 1e-10
"""The most steps of Newton's method, and the gradient at which it stops."""
LEAST_OF_A_KIND = 10


class LinearModel(NamedTuple):
    """A weight for each feature, and a bias; if the weighted sum plus the bias is above zero, the next bar should go
    up.
    """

    weights: Doubles
    bias: float


def regression(shown: Doubles, rose: NDArray[np.bool_], c: float) -> LinearModel:
    """Fit a logistic regression that predicts `rose` from the rows of `shown`, with a penalty on squared weights.

    Newton's method minimizes half the sum of squared weights plus `c` times the sum of the rows' losses; see Hastie,
    Tibshirani and Friedman, The Elements of Statistical Learning (4.4.4). The bias has no penalty. Raise OperatorError
    if nearly all bars went one way.
    """
    if min(int(rose.sum()), int((~rose).sum())) < LEAST_OF_A_KIND:
        raise OperatorError("nearly all bars of the training span went one way", "train on a longer span")
    table = np.column_stack([shown, np.ones(len(shown))])
    penalty = np.append(np.ones(shown.shape[1]), 0.0)
    slopes, signs = np.zeros(table.shape[1]), np.where(rose, 1.0, -1.0)
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(np.clip(signs * (table @ slopes), -500, 500)))
        slope = penalty * slopes - c * table.T @ (signs * chances)
        if np.abs(slope).max() < ENOUGH:
            break
        curvature = np.diag(penalty) + c * (table.T * (chances * (1 - chances))) @ table
        slopes = _better(slopes, np.linalg.lstsq(curvature, slope, rcond=None)[0], table, signs, penalty, c)
    return LinearModel(slopes[:-1], float(slopes[-1]))


def _better(returns: Doubles, step: Doubles, table: Doubles, signs: Doubles, penalty: Doubles, c: float) -> Doubles:
    """Return the weights after a step that is halved until they are no worse."""

    def loss(at: Doubles) -> float:
        return float(0.5 * (penalty * at * at).sum() + c * np.logaddexp(0, -signs * (table @ at)).sum())

    size, before = 1.0, loss(returns)
    while size > ENOUGH and loss(returns - size * step) > before:
        size /= 2
    return returns - size * step
