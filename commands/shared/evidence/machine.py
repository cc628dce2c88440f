"""Evidence from the machine and the state folder: `serve`, its stream, the disk and the backups."""

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from commands.shared.light_helpers import clean
from commands.status.stores import unbounded_stores
from tradebot.adapters.chat.store import glance
from tradebot.adapters.notices.outbox import Sending, unsent_notices
from tradebot.adapters.recovery.backups import find_damaged, places, unchanged_parts
from tradebot.adapters.state import events, resources, serve_status, state_locks
from tradebot.adapters.state.state_folder import BACKUPS, EVENTS, NOTICES, option
from tradebot.app.venue_connection import addresses_of
from tradebot.app.wiring import App
from tradebot.judging.evidence import BackupEvidence, Chat, Disk, NoticeEvidence, Serve, Storage, Stream, UnreadablePart
from tradebot.model.bar import Session
from tradebot.model.event import EventKind
from tradebot.model.record import Job
from tradebot.model.trading import Mode, SlotClaim
from tradebot.timetable.sessions import ARCHIVED, COPIED, NOT_COPIED, FailedBackup, failed_backup, not_copied

MB = 1_000_000
LAST_EVENTS = 500
"""How many events are searched for the latest one about the stream."""
PROGRAMS = "fuse."
"""The beginning of the type of a file system that a program implements: its locks and syncs depend on that program."""
FORGETFUL = ("tmpfs", "ramfs")
"""File systems that are kept in memory."""
LATELY = timedelta(days=1)
"""How long a notice that was given up counts."""
STREAM = "stream"
SESSION = "session-"
STAMP = "%Y%m%dT%H%M%SZ"


def serve_of(folder: Path, claims: "Sequence[SlotClaim]") -> Serve:
    """Return whether `serve` holds its lock, its last status note, and who has claimed slots lately."""
    running, note = serve_status.is_running(folder), serve_status.read_serving(folder)
    jobs = set(Job)
    run = [claim for claim in claims if claim.missed_reason is None and claim.job in jobs]
    last = max(run, key=lambda claim: claim.at, default=None)
    by = last.by if last else ""
    return Serve(running, note, len(run), by, was_last=by.startswith(f"{serve_status.SERVE} "))


def disk_of(folder: Path, needed_mb: int, *, sandbox: bool) -> Disk | UnreadablePart:
    """Return how much space is free on the folder's disk, and whether its file system is suitable."""
    try:
        usage, entries = shutil.disk_usage(folder), os.statvfs(folder)
    except OSError as error:
        return UnreadablePart(f"{folder} can't be inspected: {error.strerror}", f"ls -ld {folder}")
    inodes, kind = entries.f_favail if entries.f_files else None, resources.kind_of(folder) or ""
    unfit, fatal = _unfit(kind, sandbox=sandbox)
    return Disk(usage.free, usage.total, needed_mb * MB, inodes, kind, unfit, fatal)


def _unfit(kind: str, *, sandbox: bool) -> tuple[str, bool]:
    """Return why a kind of file system isn't fit for a bot's folder, and whether a bot can't use it at all."""
    if resources.is_network(kind):
        # Losing a sandbox does no harm.
        return "where locks don't work between machines", not sandbox
    if kind.startswith(PROGRAMS):
        return "where locks and syncs may not work", False
    return "which is lost when the machine stops" if kind in FORGETFUL and not sandbox else "", False


def storage_of(folder: Path, tell_mb: int) -> Storage | UnreadablePart:
    """Return the stores that only a person can clear, their sizes, and the size from which to report them."""
    try:
        return Storage(tuple(unbounded_stores(folder)), tell_mb * MB)
    except OSError as error:
        return UnreadablePart(
            f"{error.filename or folder} can't be inspected: {error.strerror}", "tradebot status --stores"
        )


def stream_of(folder: Path) -> Stream | None:
    """Return when the stream's lane was last active, and whether the stream's last event is a lost connection."""
    note = serve_status.read_serving(folder)
    looked_at = note.lanes.get(STREAM) if note else None
    if looked_at is None:
        return None
    kinds = {kind.event_type: kind for kind in (EventKind.STREAM_JOINED, EventKind.STREAM_LOST)}
    lines, _ = events.last_events(folder / EVENTS, LAST_EVENTS, besides=[EventKind.GATE_BLOCKED])
    last = next((event for event in reversed(lines) if event.event_type in kinds), None)
    lost = last is not None and last.event_type == EventKind.STREAM_LOST.event_type
    return Stream(looked_at, "lost; alerts are fetched on schedule meanwhile" if lost else "")


def notices_of(app: "App") -> NoticeEvidence | None:
    """Return which channels have no address, and which notices couldn't be sent; None if the bot has no channel."""
    # Imported here, because most bots have no channel and `status` should start quickly.

    names = [channel.name for channel in app.settings.notify.in_use()]
    if not names:
        return None
    addresses = addresses_of(app.settings, os.environ)
    bare = tuple(name for name in names if name not in addresses)
    lately = datetime.now(UTC) - LATELY
    stored_notices = unsent_notices(app.folder.path) if (app.folder.path / NOTICES).exists() else ()
    failing = [notice for notice in stored_notices if notice.attempts and notice.sending is Sending.WAITING]
    lost = [notice for notice in stored_notices if notice.sending is Sending.GIVEN_UP and notice.next_at > lately]
    problem = (failing or lost)[-1].problem if failing or lost else ""
    return NoticeEvidence(len(names), bare, len(failing), len(lost), problem)


def chat_of(app: "App") -> Chat:
    """Return whether the paired person can reach the bot."""
    seen_chat = glance(app.folder.path)
    return Chat(
        seen_chat.paired,
        state_locks.holder(app.folder.path, state_locks.CHAT_LOCK) is not None,
        clean(seen_chat.trouble),
    )


def backups_of(
    app: "App", sessions: "Sequence[Session]", now: datetime, *, thorough: bool
) -> BackupEvidence | UnreadablePart:
    """Return the newest backup, the last session that should have one by now, and the damaged backups.

    Files that changed after their backup was made are compared with its manifest; if `thorough`, all files are.
    """
    try:
        names = [path.name for path in places(app.folder.path)]
    except OSError as error:
        problem = f"{app.folder.path / BACKUPS} can't be read: {error.strerror}"
        return UnreadablePart(problem, f"tradebot backup {option(app.folder.path)}")
    began = app.ledger_view.books_opened_at()
    ended = [each for each in sessions if each.close <= now and began is not None and began < each.close]
    made_at = [at for name in names if (at := _backup_time(name)) is not None]
    newest, due = max(made_at, default=None), ended[-1] if ended else None
    if due is not None and newest is not None and app.mode is not Mode.SANDBOX and newest >= due.close:
        # Whatever its name, it was made after the close and contains the whole session.
        due = None
    of_sessions = (day for name in names if (day := _session_in(name)) is not None)
    failed = failed_backup(app.ledger_view, due.date) if due else None
    copy_failed = not_copied(*map(app.ledger_view.last_claim, (NOT_COPIED, COPIED)))
    bad = find_damaged(app.folder.path, None if thorough else unchanged_parts(app.folder.path))
    return BackupEvidence(
        kept=len(names),
        newest=max(of_sessions, default=None),
        newest_at=newest,
        due=due.date if due else None,
        due_since=due.close if due else None,
        failed=_failure_text(failed) if failed else "",
        damaged=tuple(f"{clean(each.name)}: {clean(each.why)}" for each in bad),
        coming=next((each.close for each in sessions if each.close > now), None),
        archived_at=archived.at if (archived := app.ledger_view.last_claim(ARCHIVED)) else None,
        not_copied=clean(copy_failed) if app.settings.storage.backup_to else "",
    )


def _failure_text(failed: FailedBackup) -> str:
    # Only a full date and time is shown in the reader's own time zone.
    failed_at, again_at = (f"{at:%Y-%m-%d %H:%M} UTC" for at in (failed.at, failed.again_at))
    return f"the last try failed at {failed_at} ({failed.why}); the next is at {again_at}"


def _backup_time(name: str) -> datetime | None:
    """Return when the backup of this name was made, by this machine's clock; None for a name that isn't a backup's."""
    try:
        return datetime.strptime(name[:16], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _session_in(name: str) -> date | None:
    try:
        return date.fromisoformat(name.partition(SESSION)[2][:10])
    except ValueError:
        return None
