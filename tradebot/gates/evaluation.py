"""Evaluate every gate for an entry: the permanent gates, and those for optional limits that are set.

A limit on a book is evaluated on the book as it would be after the entry, with the same predicate that monitors the
present book. If such a limit is exceeded, only time, closing a position or a person can end that; a new entry can't.
"""

from collections.abc import Mapping
from operator import attrgetter
from types import MappingProxyType

from tradebot.gates import costs, entry, expiry, halts, margin, prices, registry, sizing
from tradebot.gates.ask import Ask, decisions
from tradebot.gates.gate_declarations import DECLARED, GateSettings
from tradebot.model.decision import Decision, Gate

FAMILIES = (entry, halts, registry, expiry, sizing, prices, costs, margin)
"""The modules that declare gates."""
READS: Mapping[Gate, GateSettings] = MappingProxyType(DECLARED)
"""The settings that each gate reads. A strategy's own filters declare theirs themselves."""
if undeclared := set(Gate).difference(READS):
    raise AssertionError(f"no module declares these gates: {', '.join(sorted(undeclared))}")

_PLACE = attrgetter("gate.place")


def decide(ask: Ask) -> tuple[Decision, ...]:
    """Return the decisions of every gate, merged with the candidate's own, in the fixed order of evaluation."""
    # The sort is stable, so a strategy's decision comes before the gate's own and never replaces it.
    answers = [*ask.candidate.decisions, *decisions(ask)]
    answers.sort(key=_PLACE)
    return tuple(answers)
