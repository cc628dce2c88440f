"""`tradebot backup`: make a verified copy of the ledger and the journal. Each session gets one when it ends."""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose
from commands.shared.light_helpers import clean
from commands.shared.verb_options import Report, on_bot
from tradebot.adapters.recovery import backups
from tradebot.adapters.recovery.backup_parts import Hashed
from tradebot.adapters.recovery.backups import DELETE_DAMAGED, REMEDY
from tradebot.adapters.recovery.integrity_check import look_again
from tradebot.adapters.recovery.offsite_copy import Bucket, Folder, OffsiteStore, send
from tradebot.adapters.state.state_folder import BACKUPS
from tradebot.app.keys import load_cloud_keys
from tradebot.errors import DamagedBooksError, ExitCode, OperatorError, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.sentences import pluralize
from tradebot.timetable.sessions import FAILED, begun_by, failed_backup, note, note_copied

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

BY_HAND = "by-hand"


class Copy(Struct, frozen=True):
    """One verified copy: the last record of its journal, how many intents and fills it has, and its size in bytes."""

    name: str
    path: str
    record: int
    intents: int
    fills: int
    bytes: int


class Damaged(Struct, frozen=True):
    """A backup that can't be restored, and why."""

    name: str
    why: str


class Backups(Struct, frozen=True):
    """The backup just made (None if only a list was requested), and the names of all backups, newest first.

    `damaged` lists the backups that can no longer be restored. `copied_to` is where the backup was copied off this
    machine; None if it wasn't.
    """

    made: Copy | None
    kept: tuple[str, ...]
    damaged: tuple[Damaged, ...]
    copied_to: str | None


def run(app: "App", *, only_list: bool = False, to: str | None = None) -> Report:
    """Copy the books, verify the copy and check the other backups; exit 10 if one of them is damaged.

    The copy is then also sent to `to`, or to `storage.backup_to`. Raises OperatorError if the copy can't be written.
    Raises TradebotError if it can't be sent; the copy on this machine is kept in that case.
    """
    copy, hashed = None, Hashed()
    if not only_list:
        # Exits don't wait for a copy of large books: the lock is only for the check of these.
        with app.pass_lock("backup"):
            pass
        to = to or app.settings.storage.backup_to
        # Report a missing destination before copying the books.
        offsite_store = require_offsite_storage(app, to) if to else None
        backup = backups.make(app.folder, BY_HAND, datetime.now(UTC), hashed)
        if offsite_store:
            _send(app, backup.path, offsite_store)
        copy = Copy(backup.path.name, str(backup.path), backup.record, backup.intents, backup.fills, backup.bytes)
    broken = tuple(Damaged(*damage) for damage in backups.find_damaged(app.folder.path, hashed))
    names = tuple(path.name for path in backups.places(app.folder.path))
    data = Backups(copy, names, broken, to if copy else None)
    code = ExitCode.FINDINGS if broken else ExitCode.DONE
    return Report("backup", data, _render, code)


def offsite_storage(to: str) -> "OffsiteStore":
    """Return the off-site storage, a folder or a bucket; raise TradebotError if it is missing or can't be reached."""
    if to.startswith("s3://"):
        return Bucket(to, load_cloud_keys(os.environ, Path(".env")))

    return Folder(Path(to).expanduser())


def require_offsite_storage(app: "App", to: str) -> "OffsiteStore":
    """Return the off-site storage.

    Raise OperatorError if it is in the bot's own folder, because the copy would be lost together with the folder.
    """
    offsite_store, own = offsite_storage(to), app.folder.path.resolve()
    if not to.startswith("s3://") and Path(to).expanduser().resolve().is_relative_to(own):
        raise OperatorError(f"{to} is in the bot's own folder", "name a folder on another disk or another machine")
    return offsite_store


def _send(app: "App", backup: Path, offsite_store: "OffsiteStore") -> None:
    """Copy a backup off this machine, and record whether that worked; the error says that the backup exists here
    anyway.
    """
    try:
        send(backup, offsite_store)
    except TradebotError as error:
        _remember_copy(app, backup, error.message)
        error.message = f"the backup {backup.name} was made, but not copied: {error.message}"
        raise
    _remember_copy(app, backup, "")


def _remember_copy(app: "App", backup: Path, why: str) -> None:
    """Record for `health` that a backup was copied off this machine, or `why` it wasn't; a failure emits an event."""
    now = app.stamp_time()
    if why:
        app.events.emit(EventKind.BACKUP_NOT_COPIED.at(now, {"name": backup.name, "found": why}))
    with app.pass_lock("backup"):
        note_copied(app.ledger, why, now)


def run_session(app: "App") -> Report:
    """Back up the session that ended, once, and delete old facts; exit 10 if a backup is damaged.

    The newest backup of a session is also copied to `storage.backup_to`. Raises TradebotError if the session's backup
    couldn't be made or couldn't be copied there.
    """

    now = datetime.now(UTC)
    with suppress(TradebotError):
        # A broker that doesn't answer mustn't keep the books from being copied.
        now = app.now()
    app.ensure_calendar(now)
    with app.pass_lock("backup"):
        backup_after_session(app, now, at_once=True)
    ended = [s for s in begun_by(app.ledger, now, timedelta(days=7)) if s.close <= now]
    began, backup_names = app.ledger.books_opened_at(), [path.name for path in backups.places(app.folder.path)]
    if (
        ended
        and began
        and began < ended[-1].close
        and not any(name.endswith(f"{ended[-1].date}") for name in backup_names)
    ):
        raise TradebotError(f"the backup of session {ended[-1].date} couldn't be made", "tradebot events")
    broken = tuple(Damaged(*damage) for damage in backups.find_damaged(app.folder.path, Hashed()))
    to = app.settings.storage.backup_to
    newest = next((name for name in backup_names if f"-{backups.SESSION}" in name), None)
    if to and newest:
        _send_session(app, app.folder.path / BACKUPS / newest, to)
    data = Backups(None, tuple(backup_names), broken, to if newest else None)
    code = ExitCode.FINDINGS if broken else ExitCode.DONE
    return Report("backup", data, _render, code)


def _send_session(app: "App", backup: Path, to: str) -> None:
    """Copy a session's backup off the machine, and record a missing destination, because nobody may be watching."""
    try:
        offsite_store = require_offsite_storage(app, to)
    except TradebotError as error:
        _remember_copy(app, backup, error.message)
        raise
    _send(app, backup, offsite_store)


def backup_after_session(app: "App", now: datetime, *, at_once: bool = False) -> bool:
    """Copy the books and delete old facts, once after each session; the caller holds the pass lock.

    Return True if a backup was due. If the copy fails, that is recorded and the pass continues, because exits must not
    wait for disk space. The next attempt waits as long as `failed_backup` says; with `at_once`, it doesn't wait.
    """

    ended = [s for s in begun_by(app.ledger, now, timedelta(days=7)) if s.close <= now]
    began = app.ledger.books_opened_at()
    if not ended or began is None or began >= ended[-1].close:
        return False
    session, hashed, storage = ended[-1].date, Hashed(), app.settings.storage
    failed_before = failed_backup(app.ledger, session)
    if failed_before and failed_before.waits(now) and not at_once:
        return False
    try:
        backup = backups.backup_session(app.folder, session, datetime.now(UTC), hashed, max_count=storage.backups)
    except TradebotError as failed:
        if failed.code is ExitCode.ANOTHER_INSTANCE:
            return False
        details = {"session": session.isoformat(), "found": failed.message}
        app.events.emit(EventKind.BACKUP_FAILED.at(now, details))
        if isinstance(failed, DamagedBooksError):
            look_again(app.folder, app.events, app.ledger.file)
        with suppress(TradebotError):
            # If the disk is full, this can't be noted either.
            note(app.ledger, FAILED, session, failed.message, now)
        return True
    if backup:
        details = {"session": session.isoformat(), "name": backup.path.name, "record": str(backup.record)}
        app.events.emit(EventKind.BACKUP_MADE.at(now, details))
        for name, why in backups.find_damaged(app.folder.path, hashed):
            app.events.emit(EventKind.BACKUP_DAMAGED.at(now, {"name": name, "found": why}))
        # Damaged facts write their own event, and no money depends on them.
        with suppress(TradebotError):
            app.facts.prune(now, timedelta(days=storage.facts_days), timedelta(days=storage.decisions_days))
    return backup is not None


def _render(console: "Console", data: Backups) -> None:
    if data.made:
        console.print(f"Backed up and verified: {data.made.path}", markup=False)
        records, intents = pluralize(data.made.record, "record"), pluralize(data.made.intents, "intent")
        console.print(
            f"  {records}, {intents}, {pluralize(data.made.fills, 'fill')}, {pluralize(data.made.bytes, 'byte')}"
        )
    if data.copied_to:
        console.print(f"Copied off this machine and verified there: {data.copied_to}", markup=False)
    named = ", newest first; their names are times in UTC by this machine's clock:" if data.kept else ""
    console.print(f"Backups kept: {len(data.kept)}{named}")
    for name in data.kept:
        console.print(f"  {name}", markup=False)
    for damaged in data.damaged:
        console.print(f"Damaged: {clean(damaged.name)}: {clean(damaged.why)}", markup=False)
    if data.damaged:
        console.print(f"Next: {DELETE_DAMAGED if data.made else REMEDY}", markup=False)
    elif data.kept:
        console.print(f"To restore it: tradebot restore {data.kept[0]}", markup=False)


@on_bot(
    "backup",
    VerbPurpose.OPERATE,
    190,
    {"backup/1": (Backups,)},
    epilog="tradebot backup\ntradebot backup --to /mnt/usb/tradebot\ntradebot backup --list",
)
def backup(
    bot: "App",
    only_list: Annotated[bool, typer.Option("--list", help="List backups without making one.")] = False,
    session: Annotated[
        bool,
        typer.Option("--session", help="For the backup chore: back up once after each session, and delete old facts."),
    ] = False,
    to: Annotated[
        str | None, typer.Option("--to", metavar="PLACE", help="Also copy it off this machine [storage.backup_to].")
    ] = None,
) -> Report:
    """Back up the ledger and the journal, and verify the copy.

    A backup is also made whenever a session ends. PLACE is a folder, or s3://BUCKET/PREFIX; nothing there is ever
    replaced or deleted.
    """
    if sum(map(bool, (only_list, session, to))) > 1:
        raise OperatorError("--list, --session and --to can't be combined", "use one of them")
    return run_session(bot) if session else run(bot, only_list=only_list, to=to)
