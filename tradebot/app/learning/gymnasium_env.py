"""The environment as gymnasium knows environments; needs the extra `rl`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tradebot.app.learning.environment import ACTIONS, Environment
from tradebot.errors import OperatorError
from tradebot.signals.features.state import STATE

if TYPE_CHECKING:
    from tradebot.app.learning.environment import Terms


def gymnasium_env(terms: Terms) -> Any:
    """Return a `gymnasium.Env` of these terms; OperatorError if gymnasium isn't installed.

    Its actions are numbered from 0, which is the largest short position.
    """
    try:
        import gymnasium
    except ImportError:
        raise OperatorError("gymnasium isn't installed", "pip install 'tradebot[rl]'") from None
    many = len(terms.scaling.names) + len(STATE)

    class PolicyEnv(gymnasium.Env[Any, Any]):  # type: ignore[misc]
        """Passes each call on."""

        action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (many,), np.float32)

        def __init__(self) -> None:
            self._of = Environment(terms)

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            super().reset(seed=seed)
            return self._of.reset(seed)

        def step(self, action: Any) -> Any:
            return self._of.step(ACTIONS[int(action)])

        def close(self) -> None:
            self._of.close()

    return PolicyEnv()
