"""Train agents with stable-baselines3 and export their networks; this needs the extra `rl` and PyTorch.

The environment is wrapped for gymnasium.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from importlib.util import find_spec
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.lab.learning.environment import (
    ACTIONS,
    MOST_CONTRACTS,
    Environment,
    EpisodeTerms,
    RunningEpisode,
    event_driven_episode,
)
from tradebot.lab.learning.training.graphs import Layer, RecurrentNetwork, build_recurrent_network, stack_layers
from tradebot.lab.learning.training.job import DivergedError
from tradebot.signals.features.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tradebot.lab.learning.environment import Observation


GONE = next(index for index, feature in enumerate(STATE) if feature.name == "session_gone") - len(STATE)

"""The index of the session's elapsed share in an observation."""

WIDEST = 1e4

"""No number of an observation exceeds this: features are clipped, and an episode ends long before the state could."""


def target_of(answer: float) -> int:
    """Convert an output from -1 to 1 to a target in contracts; halves are rounded away from zero."""
    return int((MOST_CONTRACTS * Decimal(repr(float(answer)))).to_integral_value(ROUND_HALF_UP))


class SequentialEpisodes:
    """Episodes of several periods, one after another, started by `begin`.

    With `by_session`, an episode is cut off at the end of each session, and the next one continues with the following
    session.
    """

    def __init__(
        self, spans: Sequence[EpisodeTerms], begin: Callable[[EpisodeTerms], RunningEpisode], *, by_session: bool
    ) -> None:
        self._turns = cycle([Environment(terms, begin) for terms in spans])
        self._of = Environment(spans[0], begin)
        self._by_session, self._gone = by_session, 0.0
        self._next: tuple[Observation, dict[str, Any]] | None = None

    def reset(self) -> tuple[Observation, dict[str, Any]]:
        """Begin the next episode."""
        if self._next is None:
            self._of.close()
            self._of = next(self._turns)
        begun, self._next = self._next or self._of.reset(), None
        self._gone = begun[0][GONE]
        return begun

    def step(self, target: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Apply a target, like `Environment.step`."""
        observation, reward, over, cut, info = self._of.step(target)
        gone, self._gone = self._gone, observation[GONE]
        if self._by_session and not (over or cut) and self._gone < gone:
            self._next, cut = (observation, info), True
        return observation, reward, over, cut, info

    def close(self) -> None:
        self._of.close()


def gymnasium_env(
    *spans: EpisodeTerms,
    continuous: bool = False,
    by_session: bool = False,
    begin: Callable[[EpisodeTerms], RunningEpisode] = event_driven_episode,
) -> Any:
    """Create a `gymnasium.Env` with these terms; raise OperatorError if gymnasium isn't installed.

    Its actions are numbered from 0, which is the largest short position. A `continuous` action is a number from -1 to
    1; twice that number is the target. Each period is a separate episode, started by `begin`, so no episode continues
    across a gap. With `by_session`, networks with memory restart in each session. The seed of `reset` only affects the
    action space: it never changes the market.
    """
    try:
        import gymnasium
    except ImportError:
        raise OperatorError("gymnasium isn't installed", install("rl")) from None
    many = len(spans[0].scaling.names) + len(STATE)
    box, discrete = gymnasium.spaces.Box, gymnasium.spaces.Discrete

    class PolicyEnv(gymnasium.Env[Any, Any]):  # type: ignore[misc]
        """Passes each call to the environment."""

        action_space = box(-1.0, 1.0, (1,), np.float32) if continuous else discrete(len(ACTIONS))
        observation_space = box(-WIDEST, WIDEST, (many,), np.float32)

        def __init__(self) -> None:
            self._of = SequentialEpisodes(spans, begin, by_session=by_session)

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            super().reset(seed=seed)
            return self._of.reset()

        def step(self, action: Any) -> Any:
            return self._of.step(target_of(np.asarray(action).item()) if continuous else ACTIONS[int(action)])

        def close(self) -> None:
            self._of.close()

    return PolicyEnv()


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tradebot.lab.learning.arrays.engine_choice import ChosenEpisodes
    from tradebot.lab.learning.training.job import TrainingJob

    Numbers = NDArray[np.float32]

NEEDED = ("torch", "gymnasium", "stable_baselines3", "sb3_contrib")

OF_POLICY = ("learning_rate", "n_steps", "batch_size", "n_epochs", "clip_range", "ent_coef", "gamma")

OFF_POLICY = ("learning_rate", "batch_size", "tau", "gamma", "learning_starts")


class Trained(NamedTuple):
    """A trained network in stored form, and some of its outputs, computed where it was trained.

    `answers` maps rows of observations and hidden states to outputs and new hidden states. `memory` is the size of the
    hidden state; 0 means that there is none.
    """

    graph: bytes
    answers: Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]
    memory: int = 0


def require_torch(agent: str) -> None:
    """Raise OperatorError unless PyTorch and the training libraries are installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise OperatorError(f"training {agent} needs {', '.join(missing)}", f"{install('rl')}; docs/LEARN_POLICIES.md")


def train_agent(job: TrainingJob, episodes: ChosenEpisodes, progress: Callable[[int], None]) -> Trained:
    """Train an agent in these episodes, one after the other, and return its network.

    On one machine, the same job always gives the same result. Raise DivergedError if the weights become NaN.
    """
    import torch
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    class Saying(BaseCallback):  # type: ignore[misc]
        """Reports the number of steps."""

        def _on_step(self) -> bool:
            progress(self.num_timesteps)
            return True

    continuous = job.agent in ("sac", "td3")
    spans, begin, _ = episodes
    env = gymnasium_env(*spans, continuous=continuous, by_session=job.of.recurrent, begin=begin)
    try:
        model = _MODELS[job.agent](job, env)
        model.learn(job.steps, callback=Saying())
    except ValueError:
        # Sampling an action fails for weights that are NaN.
        if _is_finite(model.policy):
            raise
    finally:
        env.close()
    if not _is_finite(model.policy):
        raise DivergedError(f"{job.agent} with seed {job.seed} diverged: its weights are not numbers")
    model.policy.set_training_mode(False)
    return _NETWORKS[job.agent](model.policy)


def _is_finite(policy: Any) -> bool:
    return all(bool(weights.isfinite().all()) for weights in policy.parameters())


def _ppo(job: TrainingJob, env: Any) -> Any:
    from stable_baselines3 import PPO

    width = int(job.values["net_width"])
    more = {name: job.values[name] for name in OF_POLICY}
    return PPO("MlpPolicy", env, seed=job.seed, device="cpu", policy_kwargs={"net_arch": [width, width]}, **more)


def _recurrent_ppo(job: TrainingJob, env: Any) -> Any:
    from sb3_contrib import RecurrentPPO

    width = int(job.values["net_width"])
    architecture = {"net_arch": [width, width], "lstm_hidden_size": int(job.values["lstm_width"])}
    more = {name: job.values[name] for name in OF_POLICY}
    return RecurrentPPO("MlpLstmPolicy", env, seed=job.seed, device="cpu", policy_kwargs=architecture, **more)


def _off_policy(job: TrainingJob, env: Any, kind: Any, **own: Any) -> Any:
    width = int(job.values["net_width"])
    more = {name: job.values[name] for name in OFF_POLICY}
    # A buffer that is never filled needs no memory.
    more["buffer_size"] = min(int(job.values["buffer_size"]), job.steps)
    arch = {"net_arch": [width, width]}
    return kind("MlpPolicy", env, seed=job.seed, device="cpu", policy_kwargs=arch, **more, **own)


def _sac(job: TrainingJob, env: Any) -> Any:
    from stable_baselines3 import SAC

    return _off_policy(job, env, SAC)


def _td3(job: TrainingJob, env: Any) -> Any:
    from stable_baselines3 import TD3
    from stable_baselines3.common.noise import NormalActionNoise

    noise = NormalActionNoise(np.zeros(1), np.full(1, float(job.values["exploration"])))
    own = {name: job.values[name] for name in ("policy_delay", "target_policy_noise", "target_noise_clip")}
    return _off_policy(job, env, TD3, action_noise=noise, **own)


_MODELS = {"ppo": _ppo, "recurrent_ppo": _recurrent_ppo, "sac": _sac, "td3": _td3}


def _layers(*modules: Any) -> list[Layer]:
    """Return the layers in these parts of a network, in order."""
    import torch

    layers = [each for module in modules for each in module.modules() if isinstance(each, torch.nn.Linear)]
    return [Layer(_plain(each.weight), _plain(each.bias)) for each in layers]


def _plain(values: Any) -> Numbers:
    return np.array(values.detach().cpu().numpy(), dtype=np.float32)


def _network_function(answer: Callable[[Any], Any]) -> Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]:
    """Return the function of a network without memory."""
    import torch

    def answers(observations: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        with torch.no_grad():
            return _plain(answer(torch.as_tensor(observations))), memory

    return answers


def _of_ppo(policy: Any) -> Trained:
    parts = policy.mlp_extractor.policy_net, policy.action_net
    graph = stack_layers(_layers(*parts), "Tanh")
    return Trained(graph, _network_function(lambda shown: policy.action_net(policy.mlp_extractor.forward_actor(shown))))


def _of_sac(policy: Any) -> Trained:
    actor = policy.actor
    graph = stack_layers(_layers(actor.latent_pi, actor.mu), "Relu", "Tanh")
    return Trained(graph, _network_function(lambda shown: actor(shown, deterministic=True)))


def _of_td3(policy: Any) -> Trained:
    return Trained(stack_layers(_layers(policy.actor.mu), "Relu", "Tanh"), _network_function(policy.actor))


def _of_recurrent_ppo(policy: Any) -> Trained:
    import torch

    lstm = policy.lstm_actor
    layer = Layer(_plain(lstm.weight_ih_l0), _plain(lstm.bias_ih_l0))
    before = Layer(_plain(lstm.weight_hh_l0), _plain(lstm.bias_hh_l0))
    layers = _layers(policy.mlp_extractor.policy_net, policy.action_net)
    many = before.weights.shape[1]

    def answers(observations: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        with torch.no_grad():
            memories = torch.as_tensor(memory)[None]
            state = memories[..., :many].contiguous(), memories[..., many:].contiguous()
            outputs, after = lstm(torch.as_tensor(observations)[None], state)
            logits = policy.action_net(policy.mlp_extractor.forward_actor(outputs[0]))
        return _plain(logits), np.concatenate([_plain(each[0]) for each in after], axis=1)

    return Trained(build_recurrent_network(RecurrentNetwork(layer, before), layers, "Tanh"), answers, 2 * many)


_NETWORKS = {"ppo": _of_ppo, "recurrent_ppo": _of_recurrent_ppo, "sac": _of_sac, "td3": _of_td3}
