"""`tradebot live`: show what blocks orders, and allow trading with real money for a limited time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.calendar import require
from commands.shared.declaration import VerbPurpose, changes_trading, group
from commands.shared.light_helpers import clean, confirm
from commands.shared.times import MINUTE, when
from commands.shared.verb_options import AccountTail, Report, caller, confirm_for, on_bot
from tradebot.adapters.state import folder_identity, state_locks
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.gates.permission import (
    ACKNOWLEDGEMENT,
    ENVIRONMENT,
    ORDER_GATES,
    UNDERSTOOD,
    PermissionCheck,
    arming_of,
    entry_conditions,
    order_conditions,
)
from tradebot.model.event import EventKind
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Arming, Mode, Permission
from tradebot.reconciliation.read_books import require_account

if TYPE_CHECKING:
    from rich.console import Console

    from commands.shared.checklist import Step
    from tradebot.app.wiring import App

group("live", "Show or give permission to send orders.")
OPEN, ENTRIES, CLOSED = "open", "entries closed", "closed"
STYLES = {OPEN: "green", ENTRIES: "yellow", CLOSED: "red"}
MEANINGS = {
    OPEN: "orders may be sent",
    ENTRIES: "no entries are sent; exits, cancels and protective orders continue",
    CLOSED: "no orders are sent, including exits",
}
ARMING, PROMOTION = "arming", "promotion"
MOST_SESSIONS = 20
"""The most sessions that one arming can cover: about a month."""
AHEAD = timedelta(days=45)
"""How far ahead the calendar is read and stored; MOST_SESSIONS fit in easily."""


class Condition(Struct, frozen=True):
    """One condition for sending orders: its state and the evidence. If it isn't open, also the reason and the fix."""

    name: str
    state: str
    found: str
    reason: str | None
    fix: str


class LiveStatus(Struct, frozen=True):
    """The overall permission (the strictest of its conditions), and the trading state, which is separate.

    `as_of` is the broker's time, or this machine's if the broker didn't respond. `checklist` has the steps from paper
    to real money. Orders don't depend on them, but some venues require certain steps before a bot can be armed.
    """

    state: str
    meaning: str
    as_of: datetime
    conditions: tuple[Condition, ...]
    trading_state: str
    checklist: "tuple[Step, ...]"


class ArmedSessions(Struct, frozen=True):
    """The result of `live arm`: the sessions, their first and last day, and when entries end, in the broker's time."""

    sessions: int
    first: date
    last: date
    until: datetime
    at: datetime
    trading_state: str


class TakeOverResult(Struct, frozen=True):
    """The result of `live take-over`: the folder that trades now, and the one that it replaced."""

    folder: str
    instead_of: str


def status(app: "App", paper: Path | None = None) -> Report:
    """Check every condition, including the broker's; exit 0 if orders may be sent, 10 if a condition isn't open.

    Raises OperatorError if `paper` isn't the folder of a paper bot.
    """
    from commands.shared.checklist import steps

    now, rows = conditions(app)
    strictest = max((row.state for row in rows), key=list(MEANINGS).index)
    state = app.ledger_view.trading_state().state.value
    data = LiveStatus(strictest, MEANINGS[strictest], now, rows, state, steps(app, paper))
    code = ExitCode.DONE if strictest == OPEN else ExitCode.FINDINGS
    return Report("live-status", data, _render, code)


def arm(app: "App", sessions: int, *, by: str, paper: Path | None = None) -> Report:
    """Arm live trading for the next sessions if every other condition is open and a person types the account's tail.

    Raises OperatorError: exit 2 if there is nothing to arm or no terminal, 3 if a condition is closed, the venue
    requires more of the paper bot, or a different text was typed.
    """
    _require_live(app)
    _require_rehearsal(app, paper)
    _require_other_conditions(app)
    span = "1 session" if sessions == 1 else f"{sessions} sessions"
    what = f"Arming real money for {span}"
    confirm(app.account_tail, None, what=what, command="tradebot live arm", by_hand=True)
    with app.pass_lock("live arm"):
        # The prompt may have waited for a while, so check the conditions again.
        _require_other_conditions(app)
        arming = _record_arming(app, sessions, by)
    data = ArmedSessions(
        arming.sessions,
        arming.first,
        arming.last,
        arming.until,
        arming.at,
        app.ledger.trading_state().state.value,
    )
    return Report("live-arm", data, _render_armed)


def take_over(app: "App", confirmed: str | None) -> Report:
    """Let a copied folder trade instead of the original, once a person has typed the confirmation.

    Raises OperatorError: exit 2 if the folder isn't a copy or the confirmation is missing, 3 if the confirmation is
    wrong, and 6 if a process is still running in either folder.
    """
    other = folder_identity.original(app.folder)
    if other is None:
        raise OperatorError("this state folder isn't a copy, or its original no longer exists", "tradebot live status")
    what = f"Trading this account from here instead of {other}"
    confirm_for(app, confirmed, what=what, command="tradebot live take-over")
    with (
        state_locks.hold_all(other, "live take-over", serve_wait_s=0.0),
        state_locks.hold_all(app.folder.path, "live take-over"),
    ):
        folder_identity.take_over(app.folder, other)
    return Report("live-take-over", TakeOverResult(str(app.folder.path.resolve()), str(other)), _render_taken_over)


def conditions(app: "App") -> tuple[datetime, tuple[Condition, ...]]:
    """Return every condition in the order of the checks, and the time of the check."""
    keys = _keys(app)
    now, account = (
        _account(app) if keys.state == OPEN else (None, _closed_condition("account", "not checked", "fix the keys"))
    )
    at = now or datetime.now(UTC)
    shadow = (_by_reason("shadow", "SHADOW", "everything is decided and recorded, but no orders are sent"),)
    return at, (
        *(shadow if app.settings.shadow else ()),
        *_permission_conditions(app, at),
        *_promotion_conditions(app),
        keys,
        account,
    )


def _promotion_conditions(app: "App") -> "Iterator[Condition]":
    """Yield for each strategy whether it was promoted to real money; one that wasn't opens no position."""
    for name, climbed in (app.reached_rungs or {}).items():
        detail = f"{name} is {climbed.found}"
        open_to = Condition(PROMOTION, OPEN, clean(detail), None, "")
        yield _by_reason(PROMOTION, climbed.reason, detail, ENTRIES) if climbed.reason else open_to


def _permission_conditions(app: "App", now: datetime) -> Iterator[Condition]:
    """Yield the conditions of file, environment and ledger; an expired arming is open for exits only."""
    inputs, ended = app.permission_inputs, _expired_arming(app.permission, now)
    for check in entry_conditions(inputs):
        condition = _condition(check, app.mode)
        yield condition if condition.state == OPEN else replace(condition, state=ENTRIES)
    for check in order_conditions(inputs):
        if check.name == ARMING and check.open and ended is not None:
            yield _by_reason(check.name, *ended, state=ENTRIES)
        else:
            yield _condition(check, app.mode)


def _expired_arming(permission: "Permission", now: datetime) -> "tuple[Reason, str] | None":
    closed = permission.closed_to_entries(now)
    return next((failure for failure in closed if failure[0] == "LIVE_ARMING_EXPIRED"), None)


def _condition(check: "PermissionCheck", mode: "Mode") -> Condition:
    """Return a permission check as a condition, with a more exact fix than its reason's remedy if there is one."""
    if check.open:
        return Condition(check.name, OPEN, clean(check.found), None, "")
    row = _by_reason(check.name, check.reason, check.found)
    return replace(row, fix=_opens(check.name, mode) or row.fix)


def _opens(name: str, mode: "Mode") -> str:
    """Return how to meet a condition whose reason's remedy is to run this verb; empty for other conditions."""
    where = "in the environment" if mode is Mode.SANDBOX else "in the environment or in .env"
    if name in ORDER_GATES:
        return f"set {name}={str(ORDER_GATES[name]).lower()} {where}"
    if name == ACKNOWLEDGEMENT:
        return f"unset it, or set {name}={UNDERSTOOD} {where}"
    if name == ENVIRONMENT:
        return "fix that file (a regular file, chmod 600, lines NAME=VALUE), or remove it"
    return "tradebot live arm in a terminal" if name == ARMING else ""


def _by_reason(name: str, reason: str, condition: str, state: str = CLOSED) -> Condition:
    return Condition(name, state, clean(condition), str(reason), REASONS[Reason(reason)].remedy)


def _closed_condition(name: str, reason: str, fix: str) -> Condition:
    return Condition(name, CLOSED, clean(reason), None, fix)


def _keys(app: "App") -> Condition:
    try:
        connection = app.connection
    except TradebotError as error:
        return _closed_condition("keys and address", error.message, error.hint)
    return Condition("keys and address", OPEN, f"they match mode {app.mode} and {connection.base_url}", None, "")


def _account(app: "App") -> tuple[datetime | None, Condition]:
    try:
        account, now = app.reader.account(), app.now()
        require_account(app.ledger_view, account)
    except TradebotError as error:
        return None, _closed_condition("account", error.message, error.hint)
    if account.blocked:
        return now, _by_reason("account", "ACCOUNT_BLOCKED", ", ".join(account.blocked))
    return now, Condition("account", OPEN, f"the broker answers for account …{account.tail}", None, "")


def _require_live(app: "App") -> None:
    if app.mode is not Mode.LIVE:
        raise OperatorError(
            f"mode {app.mode} doesn't trade real money, so there is nothing to arm", "tradebot live status"
        )


def _require_rehearsal(app: "App", paper: Path | None) -> None:
    from commands.shared.checklist import rehearsal

    missing = [step for step in rehearsal(app, paper) if not step.done]
    if missing:
        detail = "; ".join(f"{step.name}: {step.found}" for step in missing)
        raise OperatorError(f"live trading can't be armed: {detail}", missing[0].next, code=ExitCode.REFUSED)


def _require_other_conditions(app: "App") -> None:
    _, rows = conditions(app)
    # A strategy's entries are refused until it is promoted, whether it is armed or not.
    closed = [row for row in rows if row.state != OPEN and row.name not in (ARMING, PROMOTION)]
    if closed:
        raise OperatorError(
            f"live trading can't be armed: {'; '.join(row.found for row in closed)}",
            "tradebot live status shows how to open each one",
            code=ExitCode.REFUSED,
        )


def _record_arming(app: "App", count: int, by: str) -> "Arming":
    clock = app.reader.clock()
    require(clock, app.second_time(), app.settings)
    now = clock.now
    app.ledger.file.check_whole()
    app.ensure_calendar(now, AHEAD)
    near = app.ledger.sessions(now.date() - timedelta(days=2), (now + AHEAD).date())
    arming = arming_of(near, count, by, now)
    if arming is None:
        ahead = sum(session.close > now for session in near)
        again = f"tradebot live arm --sessions {ahead}" if ahead else "tradebot reconcile, which stores the calendar"
        raise OperatorError(f"the calendar has only {ahead} of the next {count} sessions", again)
    app.ledger.armings.append(arming)
    details = {"by": by, "sessions": str(count), "until": arming.until.isoformat()}
    app.events.emit(EventKind.LIVE_ARMED.at(now, details))
    return arming


def _render(console: "Console", data: LiveStatus) -> None:
    from rich.markup import escape

    from commands.shared.tables import Table, last_folded_column, sentence

    console.print(f"Permission [{STYLES[data.state]}]{data.state}[/]: {data.meaning}")
    table = Table("condition", last_folded_column("state"), sentence("found"), header=False)
    for row in data.conditions:
        table.row(row.name, f"[{STYLES[row.state]}]{row.state}[/]", escape(row.found))
    console.print(table)
    for row in data.conditions:
        if row.state != OPEN:
            console.print(f"  {row.name}: {row.fix}", markup=False)
    console.print(f"Apart from these conditions, the trading state is {data.trading_state}. Next: tradebot status")
    _render_checklist(console, data.checklist)


def _render_checklist(console: "Console", steps: "tuple[Step, ...]") -> None:
    from rich.markup import escape

    from commands.shared.tables import Table, sentence

    done = sum(step.done for step in steps)
    console.print(
        f"From paper to real money: {done} of {len(steps)} steps are done. This checklist doesn't block orders."
    )
    table = Table("step", sentence("found"), sentence("needed"), header=False)
    for step in steps:
        mark = "[green]done[/]" if step.done else "[yellow]missing[/]"
        table.row(step.name, f"{mark}: {escape(step.found)}", f"needed: {step.needed}")
    console.print(table)
    for step in steps:
        if not step.done:
            console.print(f"  {step.name}: {step.next}", markup=False)


def _render_armed(console: "Console", data: ArmedSessions) -> None:
    is_single = data.first == data.last
    days = f"the session of {data.first}" if is_single else f"the sessions from {data.first} to {data.last}"
    console.print(f"[yellow]Armed[/yellow]: the bot may trade real money in {days}.")
    console.print(
        f"Entries are allowed until {when(data.until, MINUTE)}; exits continue after that. tradebot halt stops "
        "entries at once."
    )
    if data.trading_state == "ACTIVE":
        console.print("Next: tradebot status")
    else:
        console.print(f"The trading state is {data.trading_state}, so no entries are sent. Next: tradebot unhalt")


def _render_taken_over(console: "Console", data: TakeOverResult) -> None:
    console.print(f"{data.folder} trades this account now; {data.instead_of} no longer sends anything.", markup=False)
    console.print("Its books may lack what the other folder has done since it was copied. Next: tradebot reconcile")


@on_bot(
    "live status",
    VerbPurpose.OPERATE,
    110,
    {"live-status/1": (LiveStatus,)},
    epilog="tradebot live status\ntradebot live status --paper ../paper",
)
def _status(
    bot: "App",
    paper: Annotated[
        Path | None,
        typer.Option("--paper", metavar="FOLDER", help="Folder of the paper bot whose sessions and trades count."),
    ] = None,
) -> Report:
    """Show which conditions for sending orders are met.

    Lists each condition and how to meet it. Exits with code 10 if any is not met. A checklist shows what should have
    been tried before real money is traded; orders don't depend on it.
    """
    return status(bot, paper)


@on_bot(
    "live arm",
    VerbPurpose.OPERATE,
    120,
    {"live-arm/1": (ArmedSessions,)},
    epilog="tradebot live arm --sessions 1\ntradebot live arm --paper ../paper",
)
@changes_trading
def _arm(
    bot: "App",
    sessions: Annotated[
        int, typer.Option("--sessions", min=1, max=MOST_SESSIONS, help="Number of sessions, including this one.")
    ] = 1,
    paper: Annotated[
        Path | None,
        typer.Option("--paper", metavar="FOLDER", help="Folder of the paper bot whose record a venue may require."),
    ] = None,
) -> Report:
    """Allow trading with real money for a number of sessions.

    Asks for confirmation at a terminal; no option replaces that.
    """
    return arm(bot, sessions, by=caller(), paper=paper)


@on_bot(
    "live take-over",
    VerbPurpose.OPERATE,
    130,
    {"live-take-over/1": (TakeOverResult,)},
    epilog="tradebot live take-over --state-dir state-moved",
)
@changes_trading
def _take_over(bot: "App", confirmed: AccountTail = None) -> Report:
    """Let a copied state folder trade instead of its original.

    A copy sends nothing while the bot is still in the other folder, because both would close the same positions.
    Stop the bot there first. A folder that was moved or restored doesn't need this.
    """
    return take_over(bot, confirmed)
