"""The request of `halt`, the halt it sets, and its report for programs."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypedDict

from commands.shared.hints import with_bot_options
from commands.shared.light_helpers import NO_REASON, clean

REDUCE_ONLY = "REDUCE_ONLY"
FLATTEN = "FLATTEN"
PATIENCE_S = 0.5
"""How long a halt waits for the ledger's lock. A stopped process may be holding it in the middle of a transaction."""


class HaltRequest(NamedTuple):
    """The options of one `halt` command line."""

    reason: str = NO_REASON
    flatten: bool = False
    confirm: str | None = None
    state_dir: str | None = None
    config: str | None = None
    as_json: bool = False
    in_utc: bool = False
    not_understood: tuple[str, ...] = ()
    """Unknown arguments, which are ignored, and reported at the end."""


class HaltResult(NamedTuple):
    """A halt as it was set: `state` is in force now, and `requested` is what the person asked for.

    `announced` is the state in the first line printed, and `printed` is False if that line couldn't be printed.
    `unrecorded` says why the ledger's history doesn't have this halt, and `busy` is True if another process held the
    ledger. `in_flight` names an order that was still being sent when `halt` stopped waiting for it. `unwritten` says
    why the halt couldn't be saved anywhere; `state` is then the folder's previous state. `may_fill` is as in
    `RecordedState`.
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
    may_fill: bool = True


class RecordedState(NamedTuple):
    """The state now recorded in the ledger's history, or why nothing could be appended."""

    state: str | None
    problem: str | None
    busy: bool = False
    """True if another process held the ledger, which is otherwise in order."""
    may_fill: bool = True
    """False if no order is working that a halt could cancel, and no pass runs that could have sent one."""


class HaltOrders(TypedDict):
    """How many cancels were accepted, closing orders sent, and requests failed.

    `problem` says why an order was left alone, if one was. Even after an accepted cancel, the venue may report the end
    of the order a moment later, or the order may have filled first.
    """

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
    orders: HaltOrders | None


def orders_left_alone(problem: str) -> HaltOrders:
    """Return the result of a halt that touched no working order, with the reason."""
    return {"cancelled": 0, "closing": 0, "failed": 0, "problem": problem}


RECOVER = "tradebot recover"


def further_lines(path: Path, request: HaltRequest, latch: HaltResult, orders: HaltOrders | None) -> str:
    """Return the lines about the state in force, the working orders, and the next command."""
    from tradebot.model.sentences import pluralize

    if latch.unwritten is not None:
        return with_bot_options("\n".join(lines_if_unwritten(path, request, latch, orders)))
    lines = []
    if latch.state != latch.announced:
        lines.append(f"  {latch.state} is in force, according to the ledger's history")
    if latch.requested == FLATTEN != latch.state:
        lines.append(f"  {latch.state} is in force; {FLATTEN} couldn't be written: run the command again")
    if latch.unrecorded:
        lines.append(f"  the halt is in force, but the ledger's history doesn't have it: {latch.unrecorded}")
    if latch.in_flight:
        lines.append(f"  an order that started earlier is still in flight: {clean(latch.in_flight)}")
        lines.append("  next: tradebot evaluate-exits cancels it; tradebot orders shows it")
    elif orders:
        closing = pluralize(orders["closing"], "closing order")
        lines.append(f"  working orders: {pluralize(orders['cancelled'], 'cancel')} accepted, {closing} sent")
        if orders["problem"]:
            lines.append(f"  not everything was done: {orders['problem']}")
            if not latch.unrecorded and _next_step(latch, orders) != RECOVER:
                lines.append("  next: tradebot evaluate-exits")
    lines.append(f"Only orders that reduce risk are sent. Next: {_next_step(latch, orders)}, then tradebot unhalt")
    return with_bot_options("\n".join(lines))


def _next_step(latch: HaltResult, orders: HaltOrders | None) -> str:
    """Return `tradebot recover` if the books have to be rebuilt first, because nothing else can open them then."""
    problems = (latch.unrecorded, orders["problem"] if orders else None)
    return RECOVER if any(RECOVER in problem for problem in problems if problem) else "tradebot status"


def lines_if_unwritten(path: Path, request: HaltRequest, latch: HaltResult, orders: HaltOrders | None) -> Iterator[str]:
    """Yield the lines after the first one, which says that the halt couldn't be saved."""
    yield f"  in force for now: the bot can't send entries until it can write {path}, where it first records each one"
    if latch.state == "ACTIVE":
        yield f"  not in force after that: entries resume once {path} is writable"
    else:
        yield f"  also in force: {latch.state}, set by an earlier halt"
    if latch.in_flight:
        yield f"  an order that started earlier is still in flight: {clean(latch.in_flight)}"
    assert orders is not None, "a halt that couldn't be saved must have listed the open entries"
    canceled = f"{orders['cancelled']} canceled by id"
    yield f"  working entries: {canceled}; exits, protective orders and other people's orders stay"
    if request.flatten:
        yield "  FLATTEN was not done: nothing was closed, and every position stays open"
    if orders["problem"]:
        yield f"  not everything was done: {orders['problem']}"
    yield f"  next: make {path} writable, then tradebot halt again"
    yield f"  until then: touch {path / 'HALT'} as a user who can write there, or revoke the key at the broker"
