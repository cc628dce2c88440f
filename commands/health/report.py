"""The data of `tradebot health`: how each part of the bot is, and a sentence about all of them."""

from collections import Counter
from dataclasses import dataclass

from tradebot.views.health.finding import Finding, State


@dataclass(frozen=True, slots=True)
class Health:
    """The worst state of any part, a sentence about all of them, and a finding about each."""

    state_dir: str
    state: State
    summary: str
    findings: tuple[Finding, ...]


def summary(findings: tuple[Finding, ...]) -> str:
    """Return how many parts are in each state, and the names of those that aren't OK, the worst first."""
    counts = Counter(finding.state for finding in findings)
    said = [f"{counts[State.OK]} of {len(findings)} parts are OK"]
    for state in reversed(State):
        names = [finding.subsystem for finding in findings if finding.state is state]
        if names and state is not State.OK:
            said.append(f"{state} {', '.join(names)}")
    return "; ".join(said)
