"""Define a training job: an agent, its settings, its features and a seed. Jobs that differ only in the seed are one
configuration.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct, field

from tradebot.adapters.text.canonical import json_text
from tradebot.errors import OperatorError, word
from tradebot.learning.model_card import Action
from tradebot.model.sentences import closest_names
from tradebot.model.struct_tools import replace
from tradebot.signals.features import OBSERVED, features

if TYPE_CHECKING:
    from collections.abc import Mapping

    Value = float | int | str | bool

LEAST_STEPS, MOST_STEPS, MOST_SEED = 500, 100_000_000, 2**31 - 1


class DivergedError(OperatorError):
    """Raised if an agent's weights diverged to NaN; the same job would diverge again."""

    def __init__(self, message: str, hint: str = "try other settings, such as a lower learning_rate") -> None:
        super().__init__(message, hint)


class Agent(Struct, frozen=True):
    """A learning method: what its networks output, whether they have memory, and the method's default settings.

    `steps` is the default number of training steps in an environment; None for an agent that learns from the bars
    alone. `on_arrays` is True if the agent learns so fast that an event-driven environment would be the bottleneck.
    """

    action: Action
    settings: Mapping[str, Value]
    steps: int | None
    recurrent: bool = False
    on_arrays: bool = False


ON_POLICY: Mapping[str, Value] = {
    "learning_rate": 3e-4,
    "n_steps": 1024,
    "batch_size": 64,
    "n_epochs": 10,
    "clip_range": 0.2,
    "ent_coef": 0.01,
    "gamma": 0.99,
}
OFF_POLICY: Mapping[str, Value] = {
    "learning_rate": 3e-4,
    "buffer_size": 1_000_000,
    "batch_size": 256,
    "tau": 0.005,
    "gamma": 0.99,
    "learning_starts": 1000,
    "net_width": 256,
}
AGENTS: Mapping[str, Agent] = {
    "sac": Agent(Action.CONTINUOUS, OFF_POLICY, 20_000),
    "ppo": Agent(Action.DISCRETE, {**ON_POLICY, "net_width": 64}, 20_000, on_arrays=True),
    "recurrent_ppo": Agent(Action.DISCRETE, {**ON_POLICY, "net_width": 64, "lstm_width": 128}, 20_000, recurrent=True),
    "td3": Agent(
        Action.CONTINUOUS,
        {**OFF_POLICY, "policy_delay": 2, "target_policy_noise": 0.2, "target_noise_clip": 0.5, "exploration": 0.1},
        20_000,
    ),
    "logistic": Agent(Action.CONTINUOUS, {"c": 0.5, "size": 1}, None),
}
"""The agents by name. Settings have the names of the library that trains the agent."""


def usual_features() -> tuple[str, ...]:
    """Return the features that any recorded bars provide; other features need a separate source."""
    return tuple(
        name for name, feature in features().items() if feature.number <= OBSERVED and not feature.of_the_moment
    )


class TrainingJob(Struct, frozen=True):
    """An agent to train, with the seed, the number of steps, the settings that differ from its defaults, and the
    features.
    """

    agent: str
    seed: int
    steps: int
    settings: Mapping[str, Value] = {}
    features: tuple[str, ...] = field(default_factory=usual_features)

    @property
    def of(self) -> Agent:
        """Return the job's agent."""
        return AGENTS[self.agent]

    @property
    def values(self) -> dict[str, Value]:
        """Return all settings of the agent for this job."""
        return {**self.of.settings, **self.settings}

    @property
    def card_summary(self) -> dict[str, str]:
        """Return the training settings for a model's card."""
        return {name: str(value) for name, value in sorted({**self.values, "steps": self.steps}.items())}

    @property
    def configuration(self) -> str:
        """Return the SHA-256 of everything except the seed; this identifies a trial."""
        available = features()
        versions = {name: available[name].version for name in self.features}
        return sha256(json_text([self.agent, self.card_summary, versions]).encode()).hexdigest()


MAY_BE_ZERO = frozenset({"ent_coef", "exploration", "target_policy_noise", "target_noise_clip", "learning_starts"})
AT_MOST_ONE = frozenset({"gamma", "tau", "clip_range", "learning_rate"})


def validate_job(job: TrainingJob) -> TrainingJob:
    """Return the job if it can be run, with its number of steps rounded; raise OperatorError if it is invalid.

    If the agent learns from `n_steps` steps at a time, the number is rounded up to a multiple of `n_steps`.
    """
    if job.agent not in AGENTS:
        raise OperatorError(f"there is no agent {word(job.agent)}", f"name one of these: {', '.join(AGENTS)}")
    for name, value in job.settings.items():
        if name not in job.of.settings:
            settings = ", ".join(job.of.settings)
            raise OperatorError(f"{job.agent} has no setting {word(name)}", f"name one of these: {settings}")
        if not _fits(name, value, job.of.settings[name]):
            raise OperatorError(
                f"{name} of {job.agent} can't be {value!r}",
                f"use a number like its default, {job.of.settings[name]}",
            )
    if not 0 <= job.seed <= MOST_SEED:
        raise OperatorError(f"{job.seed} is not a seed", f"use whole numbers from 0 to {MOST_SEED}")
    if job.of.steps is not None and not LEAST_STEPS <= job.steps <= MOST_STEPS:
        raise OperatorError(
            f"{job.agent} can't train for {job.steps:,} steps", f"use whole numbers from {LEAST_STEPS} to {MOST_STEPS}"
        )
    if job.of.steps is not None and job.steps <= (unlearned := int(job.values.get("learning_starts", 0))):
        raise OperatorError(
            f"{job.agent} learns nothing in its first {unlearned:,} steps, but gets only {job.steps:,}",
            "train for more steps, or start learning earlier: --set learning_starts=100",
        )
    if wrong := [name for name in job.features if name not in features()]:
        near = closest_names(wrong[0], features(), 3)
        listed = "make docs builds the page of features, with their names"
        meant = f"did you mean {' or '.join(near)}?" if near else listed
        raise OperatorError(f"there is no feature {word(wrong[0])}", meant)
    if not job.features:
        raise OperatorError("no feature is left to learn from", "leave fewer out: --without NAME")
    if len(set(job.features)) < len(job.features):
        raise OperatorError("a feature is named twice in this job", "remove the second mention")
    at_a_time = int(job.values.get("n_steps", 1))
    return replace(job, steps=-(-job.steps // at_a_time) * at_a_time)


def _fits(name: str, value: Value, shipped: Value) -> bool:
    """Return True if a value has the type of the shipped one, and is in the setting's range."""
    kinds = (int,) if isinstance(shipped, int) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    most = 1.0 if name in AT_MOST_ONE else MOST_STEPS
    return 0 < float(value) <= most or (value == 0 and name in MAY_BE_ZERO)
