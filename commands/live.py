"""`tradebot live`: show what keeps orders from the broker, and arm trading with real money."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.plain import clean, confirm
from commands.shared.surface import Config, Json, Report, StateDir, caller, finish, opened
from commands.shared.times import MINUTE, when
from tradebot.errors import ExitCode, OperatorError, TradebotError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.gates.permission import Door
    from tradebot.model.reasons import Reason
    from tradebot.model.trading import Arming, Mode, Permission

app = typer.Typer(help="Show or give permission to send orders.", no_args_is_help=True, rich_markup_mode=None)
OPEN, ENTRIES, CLOSED = "open", "entries closed", "closed"
STYLES = {OPEN: "green", ENTRIES: "yellow", CLOSED: "red"}
MEANINGS = {
    OPEN: "orders may be sent",
    ENTRIES: "no entry is sent; exits, cancels and protection go on",
    CLOSED: "nothing is sent, exits included",
}
ARMING = "arming"
MOST_SESSIONS = 20
"""An arming ends after so many sessions at most: about a month."""
AHEAD = timedelta(days=45)
"""How far the calendar is read, and made to reach: the most sessions of one arming lie well within."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition for sending: its state, the evidence and, unless it is open, its reason and what opens it."""

    name: str
    state: str
    found: str
    reason: str | None
    fix: str


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """The overall permission (the strictest of its conditions), and the trading state, which is separate.

    `as_of` is the venue's time, or this machine's if the venue gave none.
    """

    state: str
    meaning: str
    as_of: datetime
    conditions: tuple[Condition, ...]
    trading_state: str


@dataclass(frozen=True, slots=True)
class Armed:
    """What `live arm` wrote: the sessions, their first and last day, and when entries end; times are the venue's."""

    sessions: int
    first: date
    last: date
    until: datetime
    at: datetime
    trading_state: str


def status(app: "App") -> Report:
    """Check every condition, including the venue's; exit 0 if orders may be sent, 10 if a condition isn't open."""
    now, rows = conditions(app)
    strictest = max((row.state for row in rows), key=list(MEANINGS).index)
    state = app.ledger_view.trading_state().state.value
    data = LiveStatus(strictest, MEANINGS[strictest], now, rows, state)
    code = ExitCode.DONE if strictest == OPEN else ExitCode.FINDINGS
    return Report("live-status", data, lambda c: _render(c, data), code, app.mode_name, app.account_tail)


def arm(app: "App", sessions: int, *, by: str) -> Report:
    """Arm live trading for the next sessions if all else is open and a person types the account's tail.

    Raises OperatorError: exit 2 where there is nothing to arm or no terminal, 3 where a condition is closed or the
    word was another one.
    """
    _require_live(app)
    _require_others(app)
    span = "1 session" if sessions == 1 else f"{sessions} sessions"
    what = f"Arming real money for {span}"
    confirm(app.account_tail, None, what=what, command="tradebot live arm", by_hand=True)
    with app.pass_lock("live arm"):
        # It may have taken the person a while: what was open then is looked at again.
        _require_others(app)
        arming = _armed(app, sessions, by)
    data = Armed(
        arming.sessions,
        arming.first,
        arming.last,
        arming.until,
        arming.at,
        app.ledger.trading_state().state.value,
    )
    return Report("live-arm", data, lambda c: _render_armed(c, data), mode=app.mode_name, account=app.account_tail)


def conditions(app: "App") -> tuple[datetime, tuple[Condition, ...]]:
    """Return every condition in the order it is checked, and the time of the check."""
    keys = _keys(app)
    now, account = _account(app) if keys.state == OPEN else (None, _closed("account", "not asked", "mend the keys"))
    at = now or datetime.now(UTC)
    shadow = (_by_reason("shadow", "SHADOW", "everything is decided and recorded, nothing is sent"),)
    return at, (*(shadow if app.settings.shadow else ()), *_doors(app, at), keys, account)


def _doors(app: "App", now: datetime) -> Iterator[Condition]:
    """Yield the doors of file, environment and ledger; an expired arming is open for exits only."""
    from tradebot.gates.permission import configuration, doors

    told, ended = app.permission_inputs, _ended(app.permission, now)
    accepted = _condition(configuration(told), app.mode)
    yield accepted if accepted.state == OPEN else replace(accepted, state=ENTRIES)
    for door in doors(told):
        if door.name == ARMING and door.open and ended is not None:
            yield _by_reason(door.name, *ended, state=ENTRIES)
        else:
            yield _condition(door, app.mode)


def _ended(permission: "Permission", now: datetime) -> "tuple[Reason, str] | None":
    closed = permission.closed_to_entries(now)
    return next((door for door in closed if door[0] == "LIVE_ARMING_EXPIRED"), None)


def _condition(door: "Door", mode: "Mode") -> Condition:
    """Return a door with what opens it: what the reason's own words leave open is said here, door by door."""
    if door.open:
        return Condition(door.name, OPEN, clean(door.found), None, "")
    row = _by_reason(door.name, door.reason, door.found)
    return replace(row, fix=_opens(door.name, mode) or row.fix)


def _opens(name: str, mode: "Mode") -> str:
    """Return what opens a door whose remedy is to run this verb; empty for the others."""
    from tradebot.gates.permission import ACKNOWLEDGEMENT, ENVIRONMENT, ORDER_GATES, UNDERSTOOD
    from tradebot.model.trading import Mode

    where = "in the environment" if mode is Mode.SANDBOX else "in the environment or in .env"
    if name in ORDER_GATES:
        return f"set {name}={str(ORDER_GATES[name]).lower()} {where}"
    if name == ACKNOWLEDGEMENT:
        return f"unset it, or set {name}={UNDERSTOOD} {where}"
    if name == ENVIRONMENT:
        return "mend that file: a plain file, chmod 600, each line NAME=VALUE; or take it away"
    return "tradebot live arm in a terminal" if name == ARMING else ""


def _by_reason(name: str, reason: str, found: str, state: str = CLOSED) -> Condition:
    from tradebot.model.reasons import REASONS, Reason

    return Condition(name, state, clean(found), str(reason), REASONS[Reason(reason)].remedy)


def _closed(name: str, found: str, fix: str) -> Condition:
    return Condition(name, CLOSED, clean(found), None, fix)


def _keys(app: "App") -> Condition:
    """Check whether key, secret, address and mode fit together, without a request."""
    try:
        venue = app.venue
    except TradebotError as error:
        return _closed("keys and address", error.message, error.hint)
    return Condition("keys and address", OPEN, f"they fit mode {app.mode} and {venue.base_url}", None, "")


def _account(app: "App") -> tuple[datetime | None, Condition]:
    """Ask the venue which account these keys belong to, and whether it may trade."""
    from tradebot.reconciliation.account import require_account

    try:
        account, now = app.reader.account(), app.now()
        require_account(app.ledger_view, account)
    except TradebotError as error:
        return None, _closed("account", error.message, error.hint)
    if account.blocked:
        return now, _by_reason("account", "ACCOUNT_BLOCKED", ", ".join(account.blocked))
    return now, Condition("account", OPEN, f"the venue answers for account …{account.tail}", None, "")


def _require_live(app: "App") -> None:
    from tradebot.model.trading import Mode

    if app.mode is not Mode.LIVE:
        raise OperatorError(f"mode {app.mode} trades no real money: there is nothing to arm", "tradebot live status")


def _require_others(app: "App") -> None:
    """Raise OperatorError unless everything except the arming itself is open."""
    _, rows = conditions(app)
    closed = [row for row in rows if row.state != OPEN and row.name != ARMING]
    if closed:
        raise OperatorError(
            f"real money cannot be armed: {'; '.join(row.found for row in closed)}",
            "tradebot live status says what opens each",
            code=ExitCode.REFUSED,
        )


def _armed(app: "App", count: int, by: str) -> "Arming":
    """Record the arming durably in undamaged books, and write an event."""
    from commands.shared.clocks import require
    from tradebot.gates.permission import arming_of
    from tradebot.model.event import Severity, SystemEvent

    clock = app.reader.clock()
    require(clock, app.second_time(), app.settings)
    now = clock.now
    app.ledger.file.check_whole()
    app.ensure_calendar(now, AHEAD)
    near = app.ledger.sessions(now.date() - timedelta(days=1), (now + AHEAD).date())
    arming = arming_of(near, count, by, now)
    if arming is None:
        known = sum(session.close > now for session in near)
        again = f"tradebot live arm --sessions {known}" if known else "tradebot reconcile, which stores the calendar"
        raise OperatorError(f"the calendar knows {known} of {count} sessions to come", again)
    app.ledger.armings.append(arming)
    details = {"by": by, "sessions": str(count), "until": arming.until.isoformat()}
    app.events.emit(SystemEvent(now, "permission", "live_armed", Severity.WARN, None, details))
    return arming


def _render(console: "Console", data: LiveStatus) -> None:
    from rich.markup import escape

    from commands.shared.tables import Table, sentence, staying

    console.print(f"Permission [{STYLES[data.state]}]{data.state}[/]: {data.meaning}")
    table = Table("condition", staying("state"), sentence("found"), header=False)
    for row in data.conditions:
        table.row(row.name, f"[{STYLES[row.state]}]{row.state}[/]", escape(row.found))
    console.print(table)
    for row in data.conditions:
        if row.state != OPEN:
            console.print(f"  {row.name}: {row.fix}", markup=False)
    console.print(f"The trading state is separate: {data.trading_state}. Next: tradebot status")


def _render_armed(console: "Console", data: Armed) -> None:
    days = f"{data.first}" if data.first == data.last else f"{data.first} to {data.last}"
    console.print(f"[yellow]Armed[/yellow]: real money may be traded in the session of {days}.")
    console.print(f"Entries end {when(data.until, MINUTE)}; exits go on. tradebot halt stops entries at once.")
    if data.trading_state == "ACTIVE":
        console.print("Next: tradebot status")
    else:
        console.print(f"The trading state is {data.trading_state}: no entry is sent. Next: tradebot unhalt")


@app.command("status", epilog="tradebot live status")
def _status(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
    """Show what orders still need before they can be sent.

    Lists each condition with what meets it. Exits with code 10 if any is not met.
    """
    with opened(state_dir, config) as bot:
        report = status(bot)
    finish(report, as_json)


@app.command("arm", epilog="tradebot live arm --sessions 1")
def _arm(
    sessions: Annotated[
        int, typer.Option("--sessions", min=1, max=MOST_SESSIONS, help="Number of sessions, including this one.")
    ] = 1,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Allow trading with real money for a number of sessions.

    Asks for confirmation at a terminal; no option replaces that.
    """
    with opened(state_dir, config) as bot:
        report = arm(bot, sessions, by=caller())
    finish(report, as_json)
