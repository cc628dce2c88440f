"""What `halt` was asked to do, what it did, and its report for programs."""

from datetime import datetime
from typing import NamedTuple, TypedDict

REDUCE_ONLY = "REDUCE_ONLY"
FLATTEN = "FLATTEN"
UNSAID = "no reason given"
PATIENCE_S = 0.5
"""For so long a halt waits for a transaction of the ledger; a sender may have been stopped in the middle of one."""


class Asked(NamedTuple):
    """One command line of this verb."""

    reason: str = UNSAID
    flatten: bool = False
    confirm: str | None = None
    state_dir: str | None = None
    config: str | None = None
    as_json: bool = False
    in_utc: bool = False
    not_understood: tuple[str, ...] = ()
    """Words of the command line that were not understood."""


class Latch(NamedTuple):
    """The latch as it fell; `unrecorded` says why the ledger's history lacks it, `told` whether it could be said.

    `in_flight` names the order that was still going out when waiting for it ended. `at_first` is what the files held
    and was said at once, `asked` what was to be. `unwritten` says why nothing at all remembers this halt; `state` is
    then what the folder goes on saying. `busy` tells that another process held the ledger.
    """

    state: str
    at_first: str
    asked: str
    who: str
    why: str
    at: datetime
    unrecorded: str | None
    told: bool
    in_flight: str | None
    unwritten: str | None = None
    busy: bool = False


class Recorded(NamedTuple):
    """The state now recorded in the ledger's history, or why nothing could be appended."""

    state: str | None
    problem: str | None
    busy: bool = False
    """Another process held the ledger; nothing is wrong with it."""


class Orders(TypedDict):
    """What the pass of exits did about working orders: counts, and why the rest wasn't done."""

    cancelled: int
    closing: int
    failed: int
    problem: str | None


class Halted(TypedDict):
    """The report for programs: the latch, the order in flight, and the working orders, None if there are none.

    `unwritten` is why the halt couldn't be saved, None if it is in force; `not_understood` are the ignored words.
    """

    state: str
    who: str
    why: str
    at: datetime
    unrecorded: str | None
    unwritten: str | None
    not_understood: list[str]
    in_flight: str | None
    orders: Orders | None


def undone(problem: str) -> Orders:
    """Return the result for working orders that were left alone, and why."""
    return {"cancelled": 0, "closing": 0, "failed": 0, "problem": problem}
