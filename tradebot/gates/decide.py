"""Ask every gate about an entry: those that are always asked, and those of limits that are set.

Gates follow from what a strategy needs: those of flow are asked only of strategies that read flow, and a target needs
no score.
"""

from operator import attrgetter

from tradebot.gates import entry, options
from tradebot.model.decision import Decision

_PLACE = attrgetter("gate.place")


def decide(ask: entry.Ask) -> tuple[Decision, ...]:
    """Return the decisions of every gate, merged with the candidate's own, in the fixed order of asking."""
    # The sort is stable, so a strategy's decision comes before the gate's own and never replaces it.
    answers = [*ask.candidate.decisions, *entry.decisions(ask), *options.decisions(ask)]
    answers.sort(key=_PLACE)
    return tuple(answers)
