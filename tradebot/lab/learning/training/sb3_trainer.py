"""Train agents by stable-baselines3, and take their networks out; needs the extra `rl` and PyTorch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.lab.learning.gymnasium_env import gymnasium_env
from tradebot.lab.learning.training.graphs import Layer, Remembering, remembering, stack_layers
from tradebot.lab.learning.training.job import DivergedError

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
    """A network as it is stored, and how it answers where it was made.

    `answers` takes rows of observations, and what is remembered at each, and returns the answers and what is remembered
    then. `memory` is how many numbers that are.
    """

    graph: bytes
    answers: Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]
    memory: int = 0


def require_torch(agent: str) -> None:
    """Raise OperatorError unless PyTorch and what trains with it are installed."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise OperatorError(f"training {agent} needs {', '.join(missing)}", f"{install('rl')}; docs/LEARN_POLICIES.md")


def train_agent(job: TrainingJob, episodes: ChosenEpisodes, said: Callable[[int], None]) -> Trained:
    """Return the network that an agent has learned in the environment, one of these episodes after the other.

    The same job learns the same on one machine. DivergedError if its weights are no numbers in the end.
    """
    import torch
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    class Saying(BaseCallback):  # type: ignore[misc]
        """Says how many steps were made."""

        def _on_step(self) -> bool:
            said(self.num_timesteps)
            return True

    continuous = job.agent in ("sac", "td3")
    spans, begin, _ = episodes
    env = gymnasium_env(*spans, continuous=continuous, by_session=job.of.recurrent, begin=begin)
    try:
        model = _MODELS[job.agent](job, env)
        model.learn(job.steps, callback=Saying())
    except ValueError:
        # What samples an action refuses weights that are no numbers.
        if _is_finite(model.policy):
            raise
    finally:
        env.close()
    if not _is_finite(model.policy):
        raise DivergedError(f"{job.agent} with seed {job.seed} learned weights that are no numbers")
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
    kept = {"net_arch": [width, width], "lstm_hidden_size": int(job.values["lstm_width"])}
    more = {name: job.values[name] for name in OF_POLICY}
    return RecurrentPPO("MlpLstmPolicy", env, seed=job.seed, device="cpu", policy_kwargs=kept, **more)


def _off_policy(job: TrainingJob, env: Any, kind: Any, **own: Any) -> Any:
    width = int(job.values["net_width"])
    more = {name: job.values[name] for name in OFF_POLICY}
    # What is never filled needs no memory.
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
    """Return the layers in these parts of a network, in their order."""
    import torch

    found = [each for module in modules for each in module.modules() if isinstance(each, torch.nn.Linear)]
    return [Layer(_plain(each.weight), _plain(each.bias)) for each in found]


def _plain(values: Any) -> Numbers:
    return np.array(values.detach().cpu().numpy(), dtype=np.float32)


def _asked(answer: Callable[[Any], Any]) -> Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]:
    """Return how a network without a memory answers."""
    import torch

    def answers(observations: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        with torch.no_grad():
            return _plain(answer(torch.as_tensor(observations))), memory

    return answers


def _of_ppo(policy: Any) -> Trained:
    parts = policy.mlp_extractor.policy_net, policy.action_net
    graph = stack_layers(_layers(*parts), "Tanh")
    return Trained(graph, _asked(lambda shown: policy.action_net(policy.mlp_extractor.forward_actor(shown))))


def _of_sac(policy: Any) -> Trained:
    actor = policy.actor
    graph = stack_layers(_layers(actor.latent_pi, actor.mu), "Relu", "Tanh")
    return Trained(graph, _asked(lambda shown: actor(shown, deterministic=True)))


def _of_td3(policy: Any) -> Trained:
    return Trained(stack_layers(_layers(policy.actor.mu), "Relu", "Tanh"), _asked(policy.actor))


def _of_recurrent_ppo(policy: Any) -> Trained:
    import torch

    lstm = policy.lstm_actor
    shown = Layer(_plain(lstm.weight_ih_l0), _plain(lstm.bias_ih_l0))
    before = Layer(_plain(lstm.weight_hh_l0), _plain(lstm.bias_hh_l0))
    layers = _layers(policy.mlp_extractor.policy_net, policy.action_net)
    many = before.weights.shape[1]

    def answers(observations: Numbers, memory: Numbers) -> tuple[Numbers, Numbers]:
        with torch.no_grad():
            kept = torch.as_tensor(memory)[None]
            state = kept[..., :many].contiguous(), kept[..., many:].contiguous()
            made, after = lstm(torch.as_tensor(observations)[None], state)
            found = policy.action_net(policy.mlp_extractor.forward_actor(made[0]))
        return _plain(found), np.concatenate([_plain(each[0]) for each in after], axis=1)

    return Trained(remembering(Remembering(shown, before), layers, "Tanh"), answers, 2 * many)


_NETWORKS = {"ppo": _of_ppo, "recurrent_ppo": _of_recurrent_ppo, "sac": _of_sac, "td3": _of_td3}
