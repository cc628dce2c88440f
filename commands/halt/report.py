"""The request that `halt` gets, the halt it sets, and its report for programs."""

from datetime import datetime
from typing import NamedTuple, TypedDict

REDUCE_ONLY = "REDUCE_ONLY"
FLATTEN = "FLATTEN"
NO_REASON = "no reason given"
PATIENCE_S = 0.5
"""How long a halt waits for the ledger's lock. A stopped process may be holding it in the middle of a transaction."""


class Request(NamedTuple):
    """What one command line asks for."""

    reason: str = NO_REASON
    flatten: bool = False
    confirm: str | None = None
    state_dir: str | None = None
    config: str | None = None
    as_json: bool = False
    in_utc: bool = False
    not_understood: tuple[str, ...] = ()
    """Arguments that tradebot doesn't know. They are ignored, and reported at the end."""


class Latch(NamedTuple):
    """A halt as it was set. `state` is in force now, `requested` is what the person asked for.

    `announced` is the state that the first line showed, and `printed` is False if that line couldn't be printed.
    `unrecorded` says why the ledger's history doesn't have this halt, and `busy` that another process held the ledger.
    `in_flight` names an order that was still being sent when the wait for it ended. `unwritten` says why the halt
    couldn't be saved anywhere; `state` is then what the folder still says.
    """

    state: str
    announced: str
    requested: str
    who: str
    why: str
    at: datetime
    unrecorded: str | None
    printed: bool
    in_flight: str | None
    unwritten: str | None = None
    busy: bool = False


class Recorded(NamedTuple):
    """The state now recorded in the ledger's history, or why nothing could be appended."""

    state: str | None
    problem: str | None
    busy: bool = False
    """True if another process held the ledger, which is otherwise in order."""


class Orders(TypedDict):
    """How many working orders were canceled, closed with a new order, or failed, and why anything is left."""

    cancelled: int
    closing: int
    failed: int
    problem: str | None


class Halted(TypedDict):
    """The halt, the order in flight, and the working orders (None if there are none).

    `unwritten` is why the halt couldn't be saved, None if it is in force. `not_understood` lists ignored arguments.
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


def orders_left_alone(problem: str) -> Orders:
    """Return the result if no working order was touched, and why."""
    return {"cancelled": 0, "closing": 0, "failed": 0, "problem": problem}
