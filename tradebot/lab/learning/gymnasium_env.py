"""The environment as gymnasium knows environments; needs the extra `rl`."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.lab.learning.environment import ACTIONS, MOST_CONTRACTS, Environment, on_the_road
from tradebot.signals.features.state import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tradebot.lab.learning.environment import EpisodeTerms, Observation, Play

GONE = next(place for place, one in enumerate(STATE) if one.name == "session_gone") - len(STATE)
"""Where an observation says how much of the session is over."""
WIDEST = 1e4
"""No number of an observation is beyond this: features are clipped, and an episode ends long before the state is."""


def target_of(answer: float) -> int:
    """Return the target in contracts of an answer from -1 to 1; a half is rounded away from zero."""
    return int((MOST_CONTRACTS * Decimal(repr(float(answer)))).to_integral_value(ROUND_HALF_UP))


class SequentialEpisodes:
    """Episodes of several spans, one after another, begun by `begin`.

    With `by_session`, an episode is cut off at the end of each session, and the next one goes on with the following
    session.
    """

    def __init__(
        self, spans: Sequence[EpisodeTerms], begin: Callable[[EpisodeTerms], Play], *, by_session: bool
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
        """Answer the last observation, as `Environment.step` does."""
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
    begin: Callable[[EpisodeTerms], Play] = on_the_road,
) -> Any:
    """Return a `gymnasium.Env` of these terms; OperatorError if gymnasium isn't installed.

    Its actions are numbered from 0, which is the largest short position; `continuous` ones are a number from -1 to 1,
    of which twice is the target. Each of several spans is an episode, in turn, begun by `begin`: none goes on across a
    gap. With `by_session`, networks that remember begin each session anew: see `InTurn`.

    The seed of `reset` is that of the actions' space alone: it never changes the market.
    """
    try:
        import gymnasium
    except ImportError:
        raise OperatorError("gymnasium isn't installed", install("rl")) from None
    many = len(spans[0].scaling.names) + len(STATE)
    box, discrete = gymnasium.spaces.Box, gymnasium.spaces.Discrete

    class PolicyEnv(gymnasium.Env[Any, Any]):  # type: ignore[misc]
        """Passes each call on."""

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
