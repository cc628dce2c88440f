"""`tradebot halt`: stop adding risk immediately. The HALT file is written before any slow import.

Once it has returned without naming an order in flight, no new order that adds risk is sent. Every such order checks the
HALT file under the send lock, and `halt` waits for that lock. It waits two seconds at most, so that a stuck sender
can't delay it.

A halt always stores the newest reason, and FLATTEN is never weakened to REDUCE_ONLY. Its times come from this machine's
clock, because the broker isn't contacted; in the sandbox, they come from the last line of the exchange's log. Unknown
arguments are ignored: whoever mistypes `halt` most likely means it, and refusing a halt would cost more than an
unnecessary one.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.halt.report import (
    FLATTEN,
    PATIENCE_S,
    REDUCE_ONLY,
    Halted,
    HaltOrders,
    HaltRequest,
    HaltResult,
    RecordedState,
    further_lines,
    orders_left_alone,
)
from commands.shared.light_helpers import (
    NO_REASON,
    NOBODY,
    Identity,
    OutputError,
    caller,
    clean,
    clean_lines,
    confirm,
    document,
    print_error,
    say,
    wrap_for,
)
from commands.shared.times import show_utc, when
from tradebot.adapters.state import halt_switch, send_lock, state_folder
from tradebot.adapters.state.marker_text import FIRST_VENUE
from tradebot.adapters.text.redaction import without_keys
from tradebot.adapters.time.machine_clock import stamp_time
from tradebot.errors import ExitCode, OperatorError, TradebotError, one_line

if TYPE_CHECKING:
    from commands.shared.pass_reports import PassData

COMMAND = "tradebot halt --flatten"
NOT_REMEMBERED = "NOT REMEMBERED: this halt couldn't be written."
FLAGS: Mapping[str, str] = {"--flatten": "flatten", "--json": "as_json", "--utc": "in_utc"}
VALUES: Mapping[str, str] = {
    "--reason": "reason",
    "--confirm": "confirm",
    "--state-dir": "state_dir",
    "--config": "config",
}
BOT_FILES = (halt_switch.ARMED, state_folder.LEDGER, state_folder.JOURNAL)
"""If any of these exists, `halt` works without the folder's marker: a running bot won't look for the marker again."""


def act(arguments: Sequence[str]) -> int:
    """Halt as the command line says, and return the exit code; the command-line framework isn't imported yet."""
    request = _request(arguments)
    show_utc(request.in_utc)
    try:
        return run(request)
    finally:
        _report_ignored(request)


def arguments_of_halt(arguments: Sequence[str]) -> list[str] | None:
    """Return all arguments except `halt` itself, or None for another verb; options may precede it."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in VALUES else 1
    if arguments[index : index + 1] != ["halt"]:
        return None
    return [*(word for word in arguments[:index] if word != "--debug"), *arguments[index + 1 :]]


def run(request: HaltRequest) -> int:
    """Set the halt, print it, write the history, then cancel working entries; return the exit code.

    If the output can't be printed, the halt is still carried out, and the exit code is 1. Exit 2 means that arguments
    were ignored, or that the halt couldn't be saved anywhere. Raises OperatorError if there is no state, or if
    flattening was not confirmed.
    """
    path = _require_bot_folder(state_folder.resolve(request.state_dir, os.environ))
    bot_identity = _bot_identity(path)
    latch = _set_latch(path, request, REDUCE_ONLY)
    # An ignored argument may have named the only symbol that the person wanted to close.
    if request.flatten and latch.unwritten is None and not request.not_understood:
        by_hand = bot_identity.mode not in ("sandbox", "paper")
        confirm(FLATTEN, request.confirm, what="Halted; closing everything", command=COMMAND, by_hand=by_hand)
        latch = _set_latch(path, request, FLATTEN)

    orders = _orders(path, request, latch)
    code = _exit_code(request, latch, orders)
    if request.as_json:
        report = document("halt", bot_identity, code, _data(request, latch, orders))
        text = json.dumps(report, default=_in_utc)
    else:
        text = wrap_for(further_lines(path, request, latch, orders), sys.stdout)
    return code if _print(text) and latch.printed else code or ExitCode.ERROR


def _exit_code(request: HaltRequest, latch: HaltResult, orders: HaltOrders | None) -> ExitCode:
    if latch.unwritten is not None:
        return ExitCode.USAGE
    if orders is not None and orders["problem"] is not None:
        return ExitCode.UNAVAILABLE
    return ExitCode.USAGE if request.not_understood else ExitCode.DONE


def _report_ignored(request: HaltRequest) -> None:
    if request.not_understood:
        words = ", ".join(repr(clean(text)[:40]) for text in request.not_understood)
        so = ", so nothing is closed" if request.flatten else ""
        print_error(OperatorError(f"halt ignored words that it doesn't know: {words}{so}", "tradebot halt --help"))


def _orders(path: Path, request: HaltRequest, latch: HaltResult) -> HaltOrders | None:
    """Cancel working orders; None if there are none. It doesn't wait again for anything stuck or damaged."""
    if latch.unwritten is not None:
        from commands.halt.halt_fallback import end_entries

        return end_entries(request.state_dir, request.config)
    if latch.in_flight is not None:
        return orders_left_alone("an order is in flight, and its pass still holds this folder's lock")
    if latch.busy:
        return orders_left_alone("another process has locked the ledger, so no pass can run now")
    if latch.unrecorded is not None:
        from commands.halt.halt_fallback import by_id

        return by_id(path, request, "the ledger can't be written now, so no pass can run")
    return _end_orders(path, request, latch) if latch.requested == FLATTEN or latch.may_fill else None


def _request(arguments: Sequence[str]) -> HaltRequest:
    """Parse a command line as Typer would; importing argparse alone would take a tenth of the time of a halt.

    Unknown arguments are collected instead of refused. An option is never taken as the value of another one.
    """
    options: dict[str, Any] = {}
    unknown: list[str] = []
    words = list(reversed(arguments))
    while words:
        word = words.pop()
        name, equals, value = word.partition("=")
        has_value = name in VALUES and (equals or _is_value(words[-1:]))
        text = value if equals or not has_value else words.pop()
        if word in FLAGS:
            options[FLAGS[word]] = True
        elif has_value and (text.strip() or name == "--reason"):
            options[VALUES[name]] = text if text.strip() else NO_REASON
        else:
            unknown.append(word)
    return HaltRequest(**options, not_understood=tuple(unknown))


def _is_value(following: Sequence[str]) -> bool:
    return any(word.partition("=")[0] not in {*FLAGS, *VALUES} for word in following)


def _require_bot_folder(path: Path) -> Path:
    """Return the folder if it belongs to a bot: it has a marker, even a damaged one, or any of BOT_FILES."""
    if not state_folder.has_marker(path) and not any(os.path.lexists(path / name) for name in BOT_FILES):
        state_folder.open_state(path, os.environ)
    return path


def _bot_identity(path: Path) -> Identity:
    try:
        folder = state_folder.open_state(path, os.environ)
    except OperatorError:
        return NOBODY
    return Identity(folder.mode, folder.venue, folder.tail)


def _set_latch(path: Path, request: HaltRequest, state: str) -> HaltResult:
    bot_identity = _bot_identity(path)
    # The clocks of another venue are known once its bot is opened, which a halt doesn't wait for.
    show_utc(request.in_utc or bot_identity.venue not in (None, FIRST_VENUE))
    who, why, at = caller(), without_keys(request.reason, os.environ), stamp_time(path, bot_identity.mode)
    in_force, unwritten = announced, _ = _write_halt(path, who, why, at, state)
    first_line = f"Halted: {in_force} by {who} at {when(at)}: {clean(why)}"
    first_line = first_line if unwritten is None else f"{NOT_REMEMBERED} {unwritten}"
    printed = request.as_json or _print(wrap_for(first_line, sys.stdout))
    in_flight = send_lock.in_flight(path)
    if unwritten is not None:
        return HaltResult(in_force, announced, state, who, why, at, None, printed, in_flight, unwritten)
    recorded = _record(path, FLATTEN if in_force == FLATTEN else state, who, why, at)
    if recorded.state == FLATTEN != in_force:
        # The ledger's history says FLATTEN and the files don't, so update the files if possible.
        with suppress(OperatorError):
            halt_switch.halt(path, who, why, at, FLATTEN)
        in_force = FLATTEN
    busy, may_fill = recorded.busy, recorded.may_fill
    return HaltResult(
        in_force, announced, state, who, why, at, recorded.problem, printed, in_flight, busy=busy, may_fill=may_fill
    )


def _write_halt(path: Path, who: str, why: str, at: datetime, state: str) -> tuple[str, str | None]:
    """Write the HALT file and remove ARMED; if neither works, record the halt in the ledger's history alone.

    Return the state now in force and, if the halt couldn't be written anywhere, why.
    """
    try:
        return halt_switch.halt(path, who, why, at, state), None
    except OperatorError as error:
        recorded = _append(path, state, who, why, at)
        return (str(halt_switch.read(path).state), error.message) if recorded.state is None else (recorded.state, None)


def _print(text: str) -> bool:
    try:
        say(clean_lines(text))
    except OutputError as lost:
        print_error(lost)
        return False
    return True


def _record(path: Path, state: str, who: str, why: str, at: datetime) -> RecordedState:
    """Append the halt to the ledger's history, or return why that failed. The halt is in force without it.

    The ledger isn't opened in a folder that other users can write, because SQLite would follow a link of theirs.
    """
    unsafe = state_folder.find_unsafe_permission(path)
    return RecordedState(None, f"{unsafe.problem}: {unsafe.remedy}") if unsafe else _append(path, state, who, why, at)


def _append(path: Path, state: str, who: str, why: str, at: datetime) -> RecordedState:
    import sqlite3

    from tradebot.adapters.ledger.state_history import opened_history

    try:
        with opened_history(path, patience_s=PATIENCE_S) as history:
            return RecordedState(
                history.record(state, who, why, at), None, may_fill=orders_may_fill(path, history.may_fill)
            )
    except TradebotError as error:
        return RecordedState(None, one_line(error), busy=error.retryable)
    except (OSError, ValueError, sqlite3.Error) as error:
        return RecordedState(None, str(error))


def orders_may_fill(path: Path, in_books: Callable[[], bool]) -> bool:
    """Return True if an order that a halt could cancel may still fill.

    Such an order is `in_books`, or a running pass may have sent it. The pass lock is checked first, because a pass
    records its orders before it releases the lock. If either can't be read, the result is True.
    """
    from tradebot.adapters.state import state_locks

    try:
        return state_locks.holder(path) is not None or in_books()
    except (OSError, TradebotError):
        return True


def _end_orders(path: Path, request: HaltRequest, latch: HaltResult) -> HaltOrders:
    """Run one pass of exits, which cancels entries while halted and closes everything under FLATTEN.

    If the configuration can't be read and none was accepted, no pass can run, so entries are canceled by id.
    """
    from commands.evaluate_exits import run as evaluate_exits
    from commands.shared.pass_reports import PassData
    from commands.shared.verb_options import opened_to_leave

    try:
        with opened_to_leave(request.state_dir, request.config) as app:
            data = evaluate_exits.run(app, by=caller(), force_slot=True, entries_first=True).data
            assert isinstance(data, PassData), "a forced slot is never refused"
            return _outcome(data, evaluate_exits.describe_left_open(app, data) if latch.requested == FLATTEN else ())
    except OperatorError as error:
        from commands.halt.halt_fallback import by_id

        return by_id(path, request, one_line(error))
    except TradebotError as error:
        return orders_left_alone(one_line(error))


def _outcome(data: "PassData", left_open_positions: "Sequence[str]") -> HaltOrders:
    from commands.shared.pass_reports import LEFT_ALONE_RIGHTLY, positions_to_close

    if data.not_run is not None:
        return orders_left_alone(data.not_run.meaning)
    sent = [row.source for row in data.rows if row.reason is None]
    rows = (*positions_to_close(data.rows), *(row for row in data.rows if row.purpose == "protect"))
    failed = [row.reason for row in rows if row.reason and row.reason not in LEFT_ALONE_RIGHTLY]
    problems = [f"{len(failed)} could not be sent: {', '.join(sorted(set(failed)))}"] if failed else []
    if left_open_positions:
        problems.append(f"not closed, because the broker's answers disagree: {', '.join(left_open_positions)}")
    problem = "; ".join(problems) or None
    canceled, closing = sent.count("cancel"), sent.count("exit")
    return {"cancelled": canceled, "closing": closing, "failed": len(failed), "problem": problem}


def _data(request: HaltRequest, latch: HaltResult, orders: HaltOrders | None) -> Halted:
    return {
        "state": latch.state,
        "who": latch.who,
        "why": latch.why,
        "at": latch.at,
        "unrecorded": latch.unrecorded,
        "unwritten": latch.unwritten,
        "not_understood": list(request.not_understood),
        "in_flight": latch.in_flight,
        "orders": orders,
    }


def _in_utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
