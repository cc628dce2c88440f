"""`tradebot recover`: rebuild the books from backup, journal and broker, for a person to accept.

Nothing here can send an order, because no OrderPort is ever created.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from commands.shared.calendar import require
from commands.shared.declaration import VerbPurpose
from commands.shared.light_helpers import clean
from commands.shared.verb_options import (
    AccountTail,
    Report,
    caller,
    confirm_for,
    console,
    jsonable,
    on_bot,
    opened_as_found,
)
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.integrity import IntegrityCache
from tradebot.adapters.recovery import rebuild
from tradebot.adapters.recovery.integrity_check import problem
from tradebot.adapters.state import halt_switch, state_locks
from tradebot.adapters.state.state_folder import JOURNAL, QUARANTINE, write_durably
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.finding import FindingKind
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.reconciliation.read_books import require_account
from tradebot.reconciliation.reconcile import reconcile

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.adapters.recovery.rebuild import Rebuilt
    from tradebot.app.wiring import App

SHOWN = 40
"""How many unproven facts a screen shows; the rebuild's file lists them all."""


class DoubtRow(Struct, frozen=True):
    """A fact that couldn't be proven: its kind, where it is, and why."""

    what: str
    where: str
    why: str


class Recovered(Struct, frozen=True):
    """The books after a rebuild. `why` is the problem with the old ones, None if they were intact and unchanged.

    `name` is the rebuild that waits to be accepted, None if there is none. `quarantine` is where the old books are now.
    `journal` and `ledger` are the folders that the new books were built from. `compared` is True if the broker
    responded.
    """

    why: str | None
    name: str | None
    accepted: bool
    quarantine: str | None
    journal: str | None
    ledger: str | None
    records: int
    intents: int
    fills: int
    compared: bool
    doubts: tuple[DoubtRow, ...]


def run(app: "App", *, by: str, accept: str | None = None, confirmed: str | None = None) -> Report:
    """Rebuild damaged books, or accept rebuilt ones; exit 10 if something couldn't be proven.

    Raises OperatorError: exit 2 without a confirmation, 3 with a wrong one or a wrong name.
    """
    with hold_all_locks(app, "recover"):
        if accept:
            data = _accept(app, accept, by, confirmed)
        else:
            why = _problem(app)
            data = _intact(app) if why is None else rebuild_and_compare(app, why, by)
    return report_of(app, "recover", data)


@contextmanager
def hold_all_locks(app: "App", verb: str) -> Iterator[None]:
    """Hold all the bot's locks while its books are replaced, so that no other process, not even `serve`, uses them."""
    with state_locks.hold_all(app.folder.path, verb, serve_wait_s=0.0):
        yield


def _problem(app: "App") -> str | None:
    """Return what is wrong with the books, or None if they are intact.

    Raises TemporaryError if they are only locked, and OperatorError if the operating system doesn't let us read them:
    they may be intact, so a person has to make them readable first.
    """
    try:
        # First, because a lost journal can be noticed without reading the ledger through.
        next(journal.records(app.folder.path / JOURNAL))
        IntegrityCache(app.folder.path).revoke()
        problem(app.folder)
    except DamagedBooksError as damaged:
        return damaged.message
    except OperatorError as refused:
        # Books of another version or account; an error of the operating system has a cause.
        if refused.__cause__ is not None:
            raise
        return refused.message
    return None


def rebuild_and_compare(app: "App", why: str, by: str, only: Path | None = None) -> Recovered:
    """Halt, rebuild the books, and compare them with the broker; the caller holds the bot's locks."""
    now, halted = app.stamp_time(), f"the books were rebuilt: {clean(why)}"
    halt_switch.halt(app.folder.path, by, halted, now, "REDUCE_ONLY")
    what = "damaged" if only is None else "restored-over"
    rebuilt = rebuild.rebuild(
        app.folder, what, now, only=only, keep=lambda doubt: _keep(app, _start_result(why, doubt))
    )
    doubts = [DoubtRow(*doubt) for doubt in rebuilt.doubts]
    compared = _compare(app, doubts)
    old = [doubt.where for doubt in doubts if doubt.what == FindingKind.FORGOTTEN]
    if old:
        # The next pass would halt the bot for this reason anyway, so this halt ends in the same way.
        halted += f"; {Reason.BOOKS_OLD}: the books lack our orders in {', '.join(old)}"
        halt_switch.halt(app.folder.path, by, halted, now, "REDUCE_ONLY")
    data = _data(why, rebuilt, compared, tuple(doubts))
    _keep(app, data)
    _note(
        app,
        EventKind.BOOKS_REBUILT,
        {"name": rebuilt.name, "by": by, "why": clean(why), "not_proven": str(len(doubts))},
    )
    return data


def _note(app: "App", kind: "EventKind", details: dict[str, str]) -> None:
    """Emit an event about the rebuild, which people will look for if something goes wrong later."""
    app.events.emit(kind.at(app.stamp_time(), details))


def _start_result(why: str, rebuilt: "Rebuilt") -> Recovered:
    """Return what is known before the broker is queried, in case that never happens."""
    doubts = (*rebuilt.doubts, ("broker", "comparison", "the rebuild was interrupted before it compared the books"))
    return _data(why, rebuilt, compared=False, doubts=tuple(DoubtRow(*doubt) for doubt in doubts))


def _data(why: str, doubt: "Rebuilt", compared: bool, doubts: tuple[DoubtRow, ...]) -> Recovered:
    return Recovered(
        why=why,
        name=doubt.name,
        accepted=False,
        quarantine=str(doubt.quarantine) if doubt.quarantine else None,
        journal=str(doubt.journal) if doubt.journal else None,
        ledger=str(doubt.ledger) if doubt.ledger else None,
        records=doubt.records,
        intents=doubt.intents,
        fills=doubt.fills,
        compared=compared,
        doubts=doubts,
    )


def _compare(app: "App", doubts: list[DoubtRow]) -> bool:
    """Apply the broker's facts to the new books; each difference and each unknown outcome becomes a doubt."""
    try:
        if app.ledger.books_opened_at() is None:
            account = app.reader.account()
            require_account(app.ledger, account)
            clock = app.reader.clock()
            require(clock, app.second_time(), app.settings)
            app.ledger.open_books(account.cash, clock.now, account.settlement)
            doubts.append(
                DoubtRow("cash", "opening balance", "it is the broker's current cash, so earlier profit is unknown")
            )
        result = reconcile(app.reader, app.ledger, second=app.second_time)
    except TradebotError as failed:
        doubts.append(DoubtRow("broker", "comparison", clean(failed.message)))
        return False
    doubts += [DoubtRow(str(finding.kind), clean(finding.subject), finding.meaning) for finding in result.findings]
    return True


def _accepting(app: "App", name: str) -> str:
    """Return the command that accepts rebuilt books; with real money, only a terminal can confirm it."""
    return f"tradebot recover --accept {name}{'' if app.mode is Mode.LIVE else f' --confirm {app.account_tail}'}"


def _keep(app: "App", data: Recovered) -> None:
    """Save the findings, so that they can be shown again before the books are accepted."""
    path = _file(app, str(data.name))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_durably(path, json.dumps(jsonable(data), indent=2) + "\n")


def _file(app: "App", name: str) -> Path:
    return app.folder.path / QUARANTINE / f"{name}.json"


def _accept(app: "App", name: str, by: str, confirmed: str | None) -> Recovered:
    waiting = app.ledger.file.rebuilt()
    if waiting != name:
        raise OperatorError(
            f"{clean(name)} is not waiting to be accepted; " + (f"{waiting} is" if waiting else "nothing is"),
            _accepting(app, waiting) if waiting else "tradebot status",
            code=ExitCode.REFUSED,
        )
    recovered = _read_rebuilt(app, name)
    screen = console(err=True)
    for doubt in recovered.doubts[:SHOWN]:
        screen.print(f"not proven: {doubt.what} {doubt.where}: {doubt.why}", markup=False)
    confirm_for(app, confirmed, what=f"Accepting {name}", command=f"tradebot recover --accept {name}")
    app.ledger.upkeep.accept_rebuilt(name, by, app.stamp_time())
    _note(app, EventKind.BOOKS_ACCEPTED, {"name": name, "by": by})
    return replace(recovered, accepted=True)


def _read_rebuilt(app: "App", name: str) -> Recovered:
    """Return the rebuild's saved result; if its file is lost, so is the list of what the books lack."""
    try:
        content: dict[str, Any] = json.loads(_file(app, name).read_text(encoding="utf-8"))
        doubts = tuple(DoubtRow(**row) for row in content["doubts"])
        return Recovered(**{**content, "doubts": doubts})
    except (OSError, ValueError, KeyError, TypeError):
        lost = DoubtRow(
            "report", str(_file(app, name)), "the list of what the rebuild couldn't prove can no longer be read"
        )
        return Recovered("rebuilt", name, False, None, None, None, 0, 0, 0, False, (lost,))


def _intact(app: "App") -> Recovered:
    waiting = app.ledger.file.rebuilt()
    if waiting:
        return replace(_read_rebuilt(app, waiting), why=None)
    return Recovered(None, None, False, None, None, None, 0, 0, 0, False, ())


def report_of(app: "App", verb: str, data: Recovered) -> Report:
    """Report on new books; exit 10 if they contain anything that is neither proven nor accepted yet."""
    code = ExitCode.FINDINGS if data.doubts and not data.accepted else ExitCode.DONE
    accepting = _accepting(app, data.name) if data.name else ""
    return Report(verb, data, lambda c, _: _render(c, verb, data, accepting), code)


def _render(console: "Console", verb: str, data: Recovered, accepting: str) -> None:
    if data.why is None:
        console.print("The books are intact; nothing was changed.")
        if data.name:
            console.print("They were rebuilt earlier and are not accepted yet.")
            _render_doubts(console, data.doubts)
            console.print(f"Next: {accepting}", markup=False)
        return
    if data.accepted:
        console.print(f"[green]{data.name} is accepted.[/green] Entries stay blocked until the halt is ended.")
        console.print(f"Next: {_then(data)}", markup=False)
        return
    heading = "The books were" if verb == "restore" else "What was wrong:"
    console.print(f"{heading} {clean(data.why)}", markup=False)
    if data.quarantine:
        console.print(f"  the old books are stored unchanged in {data.quarantine}", markup=False)
    made_of = [
        part for part in (data.journal and f"journal {data.journal}", data.ledger and f"ledger {data.ledger}") if part
    ]
    console.print(f"  rebuilt from {', '.join(made_of) or 'the broker alone'}", markup=False)
    console.print(
        f"  {pluralize(data.records, 'record')}, {pluralize(data.intents, 'intent')}, {pluralize(data.fills, 'fill')}"
    )
    console.print("  compared with the broker" if data.compared else "  [red]not compared with the broker[/red]")
    _render_doubts(console, data.doubts)
    console.print("[red]Entries stay blocked[/red] until a person has accepted these books; exits continue.")
    console.print(f"Next: {accepting}", markup=False)
    console.print(f"Then: {_then(data)}", markup=False)


def _then(data: Recovered) -> str:
    """Return how entries resume once these books are accepted; outdated books need more steps."""
    old = any(doubt.what == FindingKind.FORGOTTEN for doubt in data.doubts)
    return REASONS[Reason.BOOKS_OLD].remedy if old else "tradebot reconcile, then tradebot unhalt"


def _render_doubts(console: "Console", doubts: tuple[DoubtRow, ...]) -> None:
    console.print(f"  {pluralize(len(doubts), 'fact')} couldn't be proven")
    for doubt in doubts[:SHOWN]:
        console.print(f"    {doubt.what} {doubt.where}: {doubt.why}", markup=False)
    if len(doubts) > SHOWN:
        console.print(f"    … and {len(doubts) - SHOWN:,} more; the rebuild's file in the quarantine lists them all")


@on_bot(
    "recover",
    VerbPurpose.OPERATE,
    240,
    {"recover/1": ("commands.recover:Recovered",)},
    epilog="tradebot recover\ntradebot recover --accept rebuilt-1a2b3c4d",
    opens=opened_as_found,
)
def recover(
    bot: "App",
    accept: Annotated[str | None, typer.Option("--accept", metavar="NAME", help="Accept these rebuilt books.")] = None,
    confirmed: AccountTail = None,
) -> Report:
    """Rebuild damaged books from backup, journal and broker.

    Entries stay blocked until you accept the rebuilt books with --accept.
    """
    return run(bot, by=caller(), accept=accept, confirmed=confirmed)
