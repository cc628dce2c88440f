"""`tradebot halt`: stop adding risk immediately. It sets the latch before it imports anything heavy.

After a return that names no order in flight, no order that adds risk begins: each looks at the latch under the send
lock, and a halt waits for that lock, two seconds at most, because a sender that is stuck must not keep it waiting.

A halt that is in force keeps the newest reason, and FLATTEN is never weakened to REDUCE_ONLY. Its times are those of
the person's own clock, because no venue is asked. Words that it does not understand halt all the same: whoever types
`halt` in a hurry means it, and refusing would cost more than a halt too many.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.halt.report import (
    FLATTEN,
    PATIENCE_S,
    REDUCE_ONLY,
    UNSAID,
    Asked,
    Halted,
    Latch,
    Orders,
    Recorded,
    undone,
)
from commands.shared.plain import (
    OutputError,
    caller,
    clean,
    clean_lines,
    complain,
    confirm,
    document,
    note,
    print_error,
    say,
)
from commands.shared.times import show_utc, when
from tradebot.adapters.state import send_lock, state_folder, switch
from tradebot.errors import ExitCode, OperatorError, TradebotError

if TYPE_CHECKING:
    import typer

    from commands.shared.passes import PassData

COMMAND = "tradebot halt --flatten"
NOT_REMEMBERED = "NOT REMEMBERED: this halt could not be written."
FLAGS: Mapping[str, str] = {"--flatten": "flatten", "--json": "as_json", "--utc": "in_utc"}
VALUES: Mapping[str, str] = {
    "--reason": "reason",
    "--confirm": "confirm",
    "--state-dir": "state_dir",
    "--config": "config",
}
OF_A_BOT = (switch.ARMED, state_folder.LEDGER, state_folder.JOURNAL)
"""Any of these is halted without a marker too: a process that is at work there does not ask for it again."""
AS_IT_SHOULD_BE = frozenset({"HOLD", "ORDER_WORKING"})
"""Reasons at which a pass of exits leaves a position alone, rightly."""


def act(arguments: Sequence[str]) -> int:
    """Halt as the command line asks and return the exit code. It runs before the command-line framework is imported."""
    asked = _asked(arguments)
    show_utc(asked.in_utc)
    try:
        return run(asked)
    finally:
        _tell_not_understood(asked)


def without_verb(arguments: Sequence[str]) -> list[str] | None:
    """Return the words around `halt` if that is the verb, otherwise None; options may precede it."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 2 if arguments[place] in VALUES else 1
    if arguments[place : place + 1] != ["halt"]:
        return None
    return [*(word for word in arguments[:place] if word != "--debug"), *arguments[place + 1 :]]


def run(asked: Asked) -> int:
    """Set the latch, report it, write the history, then end working entries; return the exit code.

    An output that cannot be written stops nothing: exit 1 tells of it at the end. Exit 2 says that words were not
    understood, or that nothing can be written, so that nothing remembers this halt.
    Raises OperatorError if there is no state, or if flattening was not confirmed.
    """
    path = _marked(state_folder.resolve(asked.state_dir, os.environ))
    mode, tail = _whose(path)
    latch = _fall(path, asked, REDUCE_ONLY)
    # A word that was not understood may have named the one symbol that was to be closed.
    if asked.flatten and latch.unwritten is None and not asked.not_understood:
        by_hand = mode not in ("sandbox", "paper")
        confirm(FLATTEN, asked.confirm, what="Halted; closing everything", command=COMMAND, by_hand=by_hand)
        latch = _fall(path, asked, FLATTEN)
    from commands.halt.screen import rest

    orders = _orders(path, asked, latch)
    code = _exit_code(asked, latch, orders)
    found = document("halt", mode, tail, code, _data(asked, latch, orders))
    told = _tell(json.dumps(found, default=_in_utc) if asked.as_json else rest(path, asked, latch, orders))
    return code if told and latch.told else code or ExitCode.ERROR


def _exit_code(asked: Asked, latch: Latch, orders: Orders | None) -> ExitCode:
    if latch.unwritten is not None:
        return ExitCode.USAGE
    if orders is not None and orders["problem"] is not None:
        return ExitCode.UNAVAILABLE
    return ExitCode.USAGE if asked.not_understood else ExitCode.DONE


def _tell_not_understood(asked: Asked) -> None:
    """Print to stderr which words were ignored."""
    if asked.not_understood:
        words = ", ".join(repr(clean(text)[:40]) for text in asked.not_understood)
        complain(f"error: not understood, and passed over: {words}{'; so nothing is closed' * asked.flatten}")
        note("  next: tradebot halt --help")


def _orders(path: Path, asked: Asked, latch: Latch) -> Orders | None:
    """End the working orders; None without any. It doesn't wait again for anything stuck or damaged."""
    if latch.unwritten is not None:
        from commands.halt.unwritten import end_entries

        return end_entries(asked.state_dir, asked.config, latch.at)
    if latch.in_flight is not None:
        return undone("an order is in flight, and its pass still holds the lock of this folder")
    if latch.busy:
        return undone("another process holds the ledger, so no pass can run now")
    if latch.unrecorded is not None:
        from commands.halt.unwritten import by_id

        return by_id(path, asked, latch, "the ledger takes no record now, so no pass can run")
    return _end_orders(path, asked, latch) if latch.asked == FLATTEN or _at_work(path) or _may_fill(path) else None


def _at_work(path: Path) -> bool:
    """Return True if a pass holds the lock: it may have promised orders that the books don't show yet."""
    from tradebot.adapters.state import lock

    try:
        return lock.holder(path) is not None
    except OSError:
        # What cannot be looked at is taken at its worst.
        return True


def _asked(arguments: Sequence[str]) -> Asked:
    """Read a command line as Typer would; argparse alone would cost a tenth of the time that halting takes.

    What cannot be read is kept apart, and stops nothing. An option is never the value of another one.
    """
    found: dict[str, Any] = {}
    unread: list[str] = []
    words = list(reversed(arguments))
    while words:
        word = words.pop()
        name, equals, value = word.partition("=")
        given = name in VALUES and (equals or _is_value(words[-1:]))
        text = value if equals or not given else words.pop()
        if word in FLAGS:
            found[FLAGS[word]] = True
        elif given and (text.strip() or name == "--reason"):
            found[VALUES[name]] = text
        else:
            unread.append(word)
    return Asked(**found, not_understood=tuple(unread))


def _is_value(following: Sequence[str]) -> bool:
    """Return True if there is a next word, and it isn't an option itself."""
    return any(word.partition("=")[0] not in {*FLAGS, *VALUES} for word in following)


def _marked(path: Path) -> Path:
    """Return the folder if it is a bot's: it has a marker, even a damaged one, or other files of a bot."""
    if not state_folder.marked(path) and not any(os.path.lexists(path / name) for name in OF_A_BOT):
        state_folder.open_state(path, os.environ)
    return path


def _whose(path: Path) -> tuple[str | None, str | None]:
    """Return the mode and the account tail, each None if a damaged folder doesn't say."""
    try:
        folder = state_folder.open_state(path, os.environ)
    except OperatorError:
        return None, None
    return folder.mode, folder.tail


def _fall(path: Path, asked: Asked, state: str) -> Latch:
    """Set the latch, report it at once, wait for an order in flight, then try to write the history."""
    who, why, at = caller(), asked.reason, datetime.now(UTC)
    in_force, unwritten = at_first, _ = _latched(path, who, why, at, state)
    first_line = f"Halted: {in_force} by {who} at {when(at)}: {clean(why)}"
    told = asked.as_json or _tell(first_line if unwritten is None else f"{NOT_REMEMBERED} {unwritten}")
    in_flight = send_lock.in_flight(path)
    if unwritten is not None:
        return Latch(in_force, at_first, state, who, why, at, None, told, in_flight, unwritten)
    recorded = _record(path, FLATTEN if in_force == FLATTEN else state, who, why, at)
    if recorded.state == FLATTEN != in_force:
        # The history holds more than the files did: they are told, where they can be changed by now.
        with suppress(OperatorError):
            switch.halt(path, who, why, at, FLATTEN)
        in_force = FLATTEN
    return Latch(in_force, at_first, state, who, why, at, recorded.problem, told, in_flight, busy=recorded.busy)


def _latched(path: Path, who: str, why: str, at: datetime, state: str) -> tuple[str, str | None]:
    """Set the latch; if neither file can be changed, only the ledger's history records it, if possible.

    Return the state now in force and, if the halt couldn't be written anywhere, why.
    """
    try:
        return switch.halt(path, who, why, at, state), None
    except OperatorError as error:
        recorded = _append(path, state, who, why, at)
        return (str(switch.read(path).state), error.message) if recorded.state is None else (recorded.state, None)


def _tell(text: str) -> bool:
    """Print a text; return False, with the reason on stderr, if that fails."""
    try:
        say(clean_lines(text))
    except OutputError as lost:
        print_error(lost)
        return False
    return True


def _record(path: Path, state: str, who: str, why: str, at: datetime) -> Recorded:
    """Append the halt to the ledger's history, or return why that failed. The latch works without it.

    In a folder that others can write SQLite would follow a link that they put beside the ledger.
    """
    door = state_folder.open_door(path)
    return Recorded(None, f"{door.problem}: {door.remedy}") if door else _append(path, state, who, why, at)


def _append(path: Path, state: str, who: str, why: str, at: datetime) -> Recorded:
    import sqlite3

    from tradebot.adapters.ledger.history import opened_history

    try:
        with opened_history(path, patience_s=PATIENCE_S) as history:
            return Recorded(history.record(state, who, why, at), None)
    except TradebotError as error:
        return Recorded(None, f"{error.message} {error.hint}".strip(), busy=error.retryable)
    except (OSError, ValueError, sqlite3.Error) as error:
        return Recorded(None, str(error))


def _may_fill(path: Path) -> bool:
    """Return True if an order may still fill, or if the books can't be read."""
    from tradebot.adapters.ledger.history import opened_history

    try:
        with opened_history(path, read_only=True, patience_s=PATIENCE_S) as history:
            return history.may_fill()
    except TradebotError:
        return True


def _end_orders(path: Path, asked: Asked, latch: Latch) -> Orders:
    """Run one pass of exits, which cancels entries while halted and closes everything under FLATTEN.

    Where the configuration can't be read and none was accepted no pass can run, which keeps nobody from cancelling.
    """
    from commands.evaluate_exits import verb as evaluate_exits
    from commands.shared.passes import PassData
    from commands.shared.surface import opened_to_leave

    try:
        with opened_to_leave(asked.state_dir, asked.config) as app:
            data = evaluate_exits.run(app, by=caller(), force_slot=True, entries_first=True).data
    except OperatorError as error:
        from commands.halt.unwritten import by_id

        return by_id(path, asked, latch, f"{error.message}: {error.hint}")
    except TradebotError as error:
        return undone(f"{error.message} {error.hint}".strip())
    assert isinstance(data, PassData), "a forced slot is never refused"
    return _outcome(data)


def _outcome(data: "PassData") -> Orders:
    if data.not_run is not None:
        return undone(data.not_run.meaning)
    sent = [row.source for row in data.rows if row.reason is None]
    failed = [row.reason for row in data.rows if row.reason and row.reason not in AS_IT_SHOULD_BE]
    problem = f"{len(failed)} could not be sent: {', '.join(sorted(set(failed)))}" if failed else None
    cancelled, closing = sent.count("cancel"), sent.count("exit")
    return {"cancelled": cancelled, "closing": closing, "failed": len(failed), "problem": problem}


def _data(asked: Asked, latch: Latch, orders: Orders | None) -> Halted:
    return {
        "state": latch.state,
        "who": latch.who,
        "why": latch.why,
        "at": latch.at,
        "unrecorded": latch.unrecorded,
        "unwritten": latch.unwritten,
        "not_understood": list(asked.not_understood),
        "in_flight": latch.in_flight,
        "orders": orders,
    }


def _in_utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def register(app: "typer.Typer") -> None:
    """Put the verb on the command line, for its help, completion, and options that stand before the verb."""
    from typing import Annotated

    import typer

    from commands.shared.surface import Config, Json, StateDir

    @app.command("halt", epilog='tradebot halt --reason "odd fills"\ntradebot halt --flatten')
    def halt(
        reason: Annotated[str, typer.Option("--reason", help="Reason to record.")] = UNSAID,
        flatten: Annotated[bool, typer.Option("--flatten", help="Also close every position.")] = False,
        confirm: Annotated[str | None, typer.Option("--confirm", help="FLATTEN, without a terminal.")] = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Stop opening positions now. Working entries are cancelled and no more are sent; exits go on."""
        raise typer.Exit(run(Asked(reason, flatten, confirm, state_dir, config, as_json)))
