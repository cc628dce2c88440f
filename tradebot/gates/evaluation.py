"""Ask every gate about an entry: those that are always asked, and those of limits that may be off, if they are set.

A limit on a book is asked of the book as the entry would leave it, by the predicate that monitors the book as it is.
No new entry can clear one of these limits by itself: time, a closed position or a person does.
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
"""What each gate reads; a strategy's own filters say it themselves."""
if undeclared := set(Gate).difference(READS):
    raise AssertionError(f"no family declares these gates: {', '.join(sorted(undeclared))}")

_PLACE = attrgetter("gate.place")


def decide(ask: Ask) -> tuple[Decision, ...]:
    """Return the decisions of every gate, merged with the candidate's own, in the fixed order of asking."""
    # The sort is stable, so a strategy's decision comes before the gate's own and never replaces it.
    answers = [*ask.candidate.decisions, *decisions(ask)]
    answers.sort(key=_PLACE)
    return tuple(answers)
