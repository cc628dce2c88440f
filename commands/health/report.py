"""The data of `tradebot health`: how each part of the bot is, and a sentence about all of them."""

from collections import Counter
from dataclasses import dataclass

from tradebot.judging.judgment import Judgment, State


@dataclass(frozen=True, slots=True)
class Health:
    """The worst state of any part, a sentence about all of them, and a judgment about each."""

    state_dir: str
    state: State
    summary: str
    judgments: tuple[Judgment, ...]


def summary(judgments: tuple[Judgment, ...]) -> str:
    """Return how many parts are in each state, and the names of those that aren't OK, the worst first."""
    counts = Counter(judgment.state for judgment in judgments)
    said = [f"{counts[State.OK]} of {len(judgments)} parts are OK"]
    for state in reversed(State):
        names = [judgment.subject for judgment in judgments if judgment.state is state]
        if names and state is not State.OK:
            said.append(f"{state} {', '.join(names)}")
    return "; ".join(said)
