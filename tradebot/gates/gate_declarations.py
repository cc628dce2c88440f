"""Declare a gate next to its predicate: its scope, the settings it reads, and what lets entries through again.

A gate's name, its unit and its place in the order of evaluation are in `Gate`, because records store them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from tradebot.model.decision import Decision, Gate

LARGER, SMALLER = 1, -1
NEXT_SESSION, NEXT_PASS, CLOSING = "the next session", "the next pass", "closing positions"
NEW_DATA, QUIET, FITTED = "newer data", "time", "orders are sized to fit"
"""Remedies of gates without a setting."""


class GateSettings(Struct, frozen=True):
    """The names of the settings that one gate reads.

    `account` has the account's limits that the gate reads, and `own` the strategy's effective limits. Both map each
    limit to a text that says what lets entries through again after a refusal; the text is empty if another gate says
    it. Values of `fixed` limits, and of rules that halt the bot (`halts`), are never varied to let a candidate through.
    `execution`, `exits`, `costs` and `displacement` name settings in those sections.

    If `sized` isn't 0, the gate also reads the settings that determine an order's size. It is 1 if a larger order helps
    the entry through, and -1 if a smaller one does.
    """

    account: Mapping[str, str] = {}
    own: Mapping[str, str] = {}
    fixed: Mapping[str, str] = {}
    halts: Mapping[str, str] = {}
    execution: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    displacement: tuple[str, ...] = ()
    sized: int = 0

    @property
    def limits(self) -> Mapping[str, str]:
        """Return every limit that the gate reads, with what lets entries through again."""
        return {**self.account, **self.own, **self.fixed}


STYLE = "style"
STOPS = ("stop_loss_fraction",)
SWITCH = "enabled"
ROOM = (SWITCH, "min_age_s", "gain_band_fraction", "score_advantage", "cooldown_s", "max_per_pass")
"""Settings that determine whether a position is displaced. Without the switch, none of the others matters."""

SIZED = GateSettings(
    own=dict.fromkeys(
        (
            *("max_order_fraction", "max_order_notional_usd", "limit_offset_fraction", "max_risk_fraction"),
            *("max_stop_loss_usd", "max_symbol_fraction", "max_order_contracts"),
        ),
        "",
    ),
    execution=("fit_to_room",),
    exits=STOPS,
)
"""Settings that determine an order's size."""
NOTHING = GateSettings()
"""For a gate that depends on a person, or on no number, such as an existing position."""

DECLARED: dict[Gate, GateSettings] = {}
"""The settings that each gate reads.

A strategy's own filters declare theirs themselves. Complete once `evaluation` is imported.
"""
OWN_GATES: Mapping[Gate, Gate] = {g: Gate[f"OWN_{g.name}"] for g in Gate if f"OWN_{g.name}" in Gate.__members__}
"""The account's gates that each strategy has a version of."""


def declare(*gates: Gate, reads: GateSettings = NOTHING) -> None:
    """Declare gates that are evaluated outside the decision on an entry."""
    for gate in gates:
        assert gate not in DECLARED, f"the gate {gate} is declared twice"
        DECLARED[gate] = reads


def own_reads(reads: GateSettings) -> GateSettings:
    """Return the settings that a gate on a strategy reads, given those that the same gate on the account reads."""
    return GateSettings(own=reads.account, exits=reads.exits, displacement=reads.displacement, sized=reads.sized)


Asked = TypeVar("Asked")
Question = Callable[[Asked], Decision | None]


class GateScope(Generic[Asked]):
    """The gates of one scope: the account, a strategy or a candidate."""

    def __init__(self) -> None:
        self.questions: list[tuple[Gate, Question[Asked]]] = []

    def gate(self, gate: Gate, reads: GateSettings = NOTHING) -> Callable[[Question[Asked]], Question[Asked]]:
        """Declare a gate with its predicate, which returns None if its limit is off."""
        declare(gate, reads=reads)
        return self.also(gate)

    def also(self, gate: Gate) -> Callable[[Question[Asked]], Question[Asked]]:
        """Add another predicate to a gate that is declared elsewhere."""

        def add(question: Question[Asked]) -> Question[Asked]:
            self.questions.append((gate, question))
            return question

        return add

    def answers(self, inputs: Asked) -> Iterator[Decision]:
        """Yield the decision of each gate that makes one."""
        for _, question in self.questions:
            decision = question(inputs)
            if decision is not None:
                yield decision


# These gates are evaluated elsewhere: in jobs, needs, strategies, exits and order sending.
declare(Gate.JOB, Gate.NEEDS, Gate.STRATEGY, Gate.EXIT, Gate.DISPLACEMENT, Gate.APPROVAL)
declare(
    Gate.SEND,
    reads=GateSettings(fixed=dict.fromkeys(("max_decision_s", "max_decision_ms", "max_sending_ms"), NEXT_PASS)),
)
declare(Gate.TARGET, reads=GateSettings(own={"target_tolerance_fraction": "a target farther away"}))
