"""Define one bot's folder: its path, its marker, and the names of its files.

Quick commands import this module, so it imports only small modules of the standard library.
"""

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.state import folder_permissions
from tradebot.adapters.state.marker_text import FIRST_VENUE, NAMES, SCHEMA, marker_content, marker_text, put_back
from tradebot.adapters.state.safe_open import NotRegularFileError, create_draft, read_plain
from tradebot.errors import CannotWriteError, DamagedBooksError, DamagedMarkerError, OperatorError
from tradebot.model import variables

MARKER, MARKER_COPY = "state.id", "state.id.copy"
HOME = "state.home"
"""The file with the folder's own path; a copy of the folder contains the original's path."""
LEDGER = "ledger.db"
STORES = "facts.db", "bars.db", "replies.db", "notices.db", "approvals.db", "chat.db", "passes.db"
FACTS, BARS, REPLIES, NOTICES, APPROVALS, CHAT, PASSES = STORES
JOURNAL, EVENTS = "journal.jsonl", "system_events.jsonl"
EVIDENCE = "evidence.json"
"""The data of a backtest besides its books: trials, variants, and rates by date."""
DRY_RUN, MODELS, MCP_TOKEN, WEB_TOKEN = "dry_run.json", "models.json", "mcp.token", "web.token"
"""The last dry run of entries; the models that passed their last test; token digests of `mcp --http` and `web`."""
EXCHANGE = "exchange"
LEDGER_VERSION = 3
"""The version of the ledger that this program writes. An earlier program considers it damaged."""
CHECKED = "books.checked"
"""When ledger and journal were last read completely, and their file stats since."""
PLANS = "plans"
SENDING = "sending"
"""The order being sent; it only counts while the send lock is held."""
SERVING, STARTS, STALL_TRACE = "serve.json", "serve.starts", "serve.trace"
"""The status of a running `serve`, its starts without a clean end, and the trace of its last stall."""
FLOW_QUOTA, NEWS_QUOTA = "flow.quota", "news.quota"
"""The remaining quota of the flow source, and of a service with headlines."""
VENUE_NONCE, VENUE_DAY, VENUE_ACCOUNT = "venue.nonce", "venue.day", "venue.account"
"""Data that a venue's adapter stores."""
SIMULATED, SHADOWS = "venue.json", "shadow"
"""A simulated venue's account, and the folder of the strategies in shadow, each of which is a state folder."""
LEARNED = "policies.yaml"
"""The settings that learning puts over the user's own."""
DEFAULT, MOST_NAMED = Path("state"), 10
OWN_FILES = (
    *(MARKER, MARKER_COPY, HOME, LEDGER, f"{LEDGER}-journal"),
    *(f"{name}{ending}" for name in STORES for ending in ("", "-wal", "-shm")),
    JOURNAL,
    *(CHECKED, MODELS, MCP_TOKEN, WEB_TOKEN),
    EVENTS,
    *("ARMED", "HALT", SENDING, SERVING, STARTS, STALL_TRACE, FLOW_QUOTA, NEWS_QUOTA),
    *("venue.lock", "venue-wanted.lock", VENUE_NONCE, VENUE_DAY, VENUE_ACCOUNT, EVIDENCE, DRY_RUN, SIMULATED),
    LEARNED,
    *("tradebot.yaml", "demo.yaml", "demo.json"),
)
"""The files in a state folder, besides its folders. Only demos are ever deleted, to make room for the next."""
LOCKS = ("lock", "serve.lock", "fetch.lock", "stream.lock", "setup.lock", "notify.lock", "chat.lock")
ASIDE = "aside-"
"""The prefix of folders for files that were moved out of the way."""
COMPANIONS = (
    f"{LEDGER}-",
    *(f"{name}." for name in (*STORES, JOURNAL, EVENTS)),
    "serve.log",
    "journal.torn-",
)
"""Prefixes of files that SQLite, a rotation or a repair leaves next to ours."""
DAMAGED = "Nothing was changed. See docs/RUNBOOK.md, damaged state."
REBUILD = "tradebot recover rebuilds the books from backup, journal and broker; see docs/RUNBOOK.md, damaged state"
BACKUPS, QUARANTINE = "backups", "quarantine"
BARS_FOLDER = "bars"
"""The folder of stored bars by symbol and year, if they are kept as Parquet files."""
REBUILDING = "rebuilding"
"""The folder for building new books before they replace the damaged ones."""
TAIL = "tail"
"""The folder of the files to tail, which are written from the records."""
FOLDERS = (EXCHANGE, PLANS, BACKUPS, QUARANTINE, REBUILDING, BARS_FOLDER, TAIL, SHADOWS, "drills")
BACKTESTS = "backtests"
"""The folder of finished backtests, each of which is a state folder of its own; nothing ever deletes it."""


class StateFolder(NamedTuple):
    """One bot's folder with its marker; `kind` is "user", "demo", "backtest" or "shadow"."""

    path: Path
    id: str
    kind: str
    mode: str
    account_number: str
    created_at: datetime
    venue: str = FIRST_VENUE

    @property
    def tail(self) -> str:
        """Return the last four characters of the account number, for display."""
        return self.account_number[-4:]

    @property
    def sends_orders(self) -> bool:
        """Return True if the bot's account could also be traded from other folders; a sandbox's account isn't
        shared.
        """
        return self.kind == "user" and self.mode != "sandbox"

    @property
    def exchange(self) -> Path:
        """Return the path of the embedded exchange's own state."""
        return self.path / EXCHANGE

    @property
    def plans(self) -> Path:
        """Return the path of the folder with proposed reconcile plans."""
        return self.path / PLANS


def resolve(flag: str | None, environ: Mapping[str, str]) -> Path:
    """Return the folder to use: the flag's, TRADEBOT_STATE or ./state."""
    return Path(flag or environ.get(variables.STATE) or DEFAULT)


def option(path: Path) -> str:
    """Return the option that names a folder, quoted for a shell where that is necessary."""
    from shlex import quote

    return f"--state-dir {quote(str(path))}"


def create(path: Path, mode: str, number: str, kind: str, at: datetime, venue: str = FIRST_VENUE) -> StateFolder:
    """Create a folder that only its owner can access, and mark it; raise OperatorError if it is a state folder or can't
    be created.
    """
    if has_marker(path):
        raise OperatorError(f"{path} is already a state folder.", f"tradebot status {option(path)}")
    state = StateFolder(path, os.urandom(8).hex(), kind, mode, number, at.astimezone(UTC), venue)
    prepare(path)
    try:
        if state.sends_orders:
            write_durably(path / HOME, place_text(path))
        for name in (MARKER_COPY, MARKER):
            write_durably(path / name, _marker_text(state))
    except OSError as error:
        raise cannot_write(path, error) from error
    return state


def prepare(path: Path) -> None:
    """Create the missing folders for their owner only; without a marker they are not a state folder yet.

    Raise OperatorError, changing nothing, if the folder has content that isn't ours, or if others can write to it.
    """
    try:
        require_closed(path)
        foreign = sorted(entry.name for entry in path.iterdir() if not _belongs_here(entry)) if path.exists() else []
        if foreign:
            raise OperatorError(
                f"{path} is neither empty nor a state folder: it contains "
                f"{', '.join(foreign[:3])}{' …' * (len(foreign) > 3)}.",
                f"name a new folder: {option(path / DEFAULT)}",
            )
        for folder in (path, path / EXCHANGE, path / PLANS):
            if not folder.is_dir():
                make_folder(folder)
        # One that was there already, such as a checkout's own, may have been readable for others.
        with suppress(PermissionError):
            path.chmod(0o700)
    except OSError as error:
        raise cannot_write(path, error) from error


def find_unsafe_permission(path: Path) -> folder_permissions.UnsafePermission | None:
    """Return the first permission that lets other users change a state folder or its content."""
    return folder_permissions.find_unsafe_permission(path) or folder_permissions.find_unsafe_within(path, FOLDERS)


def require_closed(
    path: Path, look: Callable[[Path], folder_permissions.UnsafePermission | None] = find_unsafe_permission
) -> None:
    """Raise OperatorError if another user can write to a folder or its content; a missing folder is fine."""
    unsafe = look(path)
    if unsafe is not None:
        raise OperatorError(f"{unsafe.problem}.", unsafe.remedy)


def _belongs_here(entry: Path) -> bool:
    """Return True for content of a state folder: our own files, hidden ones, and other states."""
    name = entry.name
    if name in (*OWN_FILES, *LOCKS, *FOLDERS, BACKTESTS) or name.startswith((".", ASIDE, *COMPANIONS)):
        return True
    return name.endswith(".new") or os.path.isfile(entry / MARKER) or os.path.isdir(entry / EXCHANGE)


def has_marker(path: Path) -> bool:
    """Return True if a folder has a marker; raise OperatorError if we can't check."""
    try:
        return (path / MARKER).exists()
    except OSError as error:
        raise _cannot_read(path, error) from error


def set_aside(path: Path, names: Iterable[str]) -> Path:
    """Move the named entries that exist into a new folder next to them, and return that folder."""
    places = (path / f"{ASIDE}{number}" for number in count(1))
    try:
        aside = next(path for path in places if not path.exists())
        aside.mkdir(mode=0o700)
        for name in names:
            if os.path.lexists(path / name):
                with around("state_folder.set_aside"):
                    (path / name).rename(aside / name)
    except OSError as error:
        raise cannot_write(path, error) from error
    return aside


def open_state(path: Path, environ: Mapping[str, str] = os.environ) -> StateFolder:
    """Return the folder's marker; raise OperatorError if it is missing or damaged, or if the ledger is lost."""
    state = read_marker(path, environ)
    loss = lost_ledger(path / LEDGER)
    if loss:
        raise DamagedBooksError(
            f"{path} is marked as the state of account {state.tail}, but its {LEDGER} is {loss}: the books "
            "existed, and are lost.",
            REBUILD,
        )
    return state


def lost_ledger(path: Path) -> str | None:
    """Describe how a ledger was lost; return None if its file exists, although only opening it shows whether it is
    intact.
    """
    try:
        stat_result = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    return "empty" if stat.S_ISREG(stat_result.st_mode) and not stat_result.st_size else None


def read_marker(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    look: Callable[[Path], folder_permissions.UnsafePermission | None] = find_unsafe_permission,
) -> StateFolder:
    """Return the folder's marker, whatever the state of its books.

    Raise OperatorError if it is missing or damaged, or if others can write to the folder or its content.
    """
    try:
        text = read_plain(path / MARKER).decode()
        require_closed(path, look)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(path, environ) from error
    except PermissionError as error:
        raise _cannot_read(path, error) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DamagedMarkerError(f"The marker {path / MARKER} can't be read: {reason}.", _put_back(path)) from error
    return parsed_marker(path, text)


def known_states(environ: Mapping[str, str]) -> list[Path]:
    """Return the marked folders in the usual places: ./state, ./state/*, the current folder and its subfolders, and
    TRADEBOT_STATE.
    """
    places = [DEFAULT, *_within(DEFAULT), Path(), *_within(Path())]
    if environ.get(variables.STATE):
        places.append(Path(environ[variables.STATE]))
    return list({path.resolve(): path for path in places if os.path.isfile(path / MARKER)}.values())


def _within(folder: Path) -> list[Path]:
    """Return a folder's entries; none if it isn't readable, because another user's states aren't ours."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def write_durably(path: Path, text: str) -> None:
    """Write a small file so that after a crash it has its old or its new content; raise OSError if that fails."""
    draft, descriptor = create_draft(path)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            with around("state_folder.sync_file"):
                os.fsync(descriptor)
        with around("state_folder.replace"):
            draft.replace(path)
    except OSError:
        with around("state_folder.drop_draft"):
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents durably, for their owner only, whatever the umask."""
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(mode=0o700)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Sync a folder, so that new and renamed files in it survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with around("state_folder.sync_names"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def in_place(path: Path, opened: os.stat_result) -> bool:
    """Return True if the file that was opened is still the one at its path, and wasn't replaced."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (opened.st_dev, opened.st_ino)


def cannot_write(path: Path, error: OSError) -> OperatorError:
    """Return the error for a user whose state folder can't be written."""
    if isinstance(error, NotRegularFileError):
        path_in_error = error.filename
        return OperatorError(
            f"{path_in_error} can't be used: {error.strerror}.",
            f"move it away: mv {path_in_error} {path_in_error}.aside",
        )
    if isinstance(error, NotADirectoryError | FileExistsError) and (obstacle := _in_the_way(path)):
        return _not_a_folder(obstacle)
    path_in_error = error.filename or path
    named = "" if str(path_in_error) == str(path) else f" {path_in_error}:"
    return CannotWriteError(
        f"The state folder {path} can't be written:{named} {error.strerror or error}.",
        _how_to_write(path, path_in_error, error),
    )


def cannot_write_database(path: Path, reason: str, name: str) -> OperatorError:
    """Return the error for a user whose database in the state folder can't be written, given SQLite's message and error
    name.
    """
    error = cannot_write(path.parent, OSError(f"{path.name}: {reason} ({name})"))
    if name == "SQLITE_READONLY" and not os.access(path, os.W_OK):
        # SQLite doesn't say whether it is the file or its file system.
        number = errno.EROFS if os.statvfs(path.parent).f_flag & os.ST_RDONLY else errno.EACCES
        error = CannotWriteError(error.message, _how_to_write(path.parent, path, OSError(number, reason)))
    return error


def _how_to_write(path: Path, path_in_error: object, error: OSError) -> str:
    if error.errno == errno.EROFS:
        return f"its file system is mounted read-only; see findmnt -T {path}, and mount it writable"
    if error.errno in (errno.EACCES, errno.EPERM):
        kept_out, mode = (path_in_error, "u+rw") if os.path.isfile(str(path_in_error)) else (path, "u+rwx")
        return f"see its owner and mode with ls -ld {kept_out}, and make it writable: chmod {mode} {kept_out}"
    if error.errno == errno.EISDIR:
        return f"check what is in the way: ls -ld {path_in_error}"
    return f"free up disk space (df -h {path}), or make the folder writable (ls -ld {path})"


def _in_the_way(path: Path) -> Path | None:
    """Return a path that exists in the place of a state folder or one above it but isn't a folder."""
    return next(
        (
            path_in_error
            for path_in_error in (path, *path.parents)
            if os.path.lexists(path_in_error) and not os.path.isdir(path_in_error)
        ),
        None,
    )


def _not_a_folder(path: Path) -> OperatorError:
    hint = f"move it away: mv {path} {path}.aside, or name another folder with --state-dir"
    return OperatorError(f"{path} is not a folder, but a folder must be there.", hint)


def _cannot_read(path: Path, error: OSError) -> OperatorError:
    return OperatorError(
        f"The state folder {path} can't be read: {error.strerror or error}.",
        f"become its owner, or make it readable: chmod u+rwx {path}",
    )


def place_text(path: Path) -> str:
    """Format a folder's path for storing."""
    return json.dumps(str(path.resolve())) + "\n"


def _marker_text(state: StateFolder) -> str:
    return marker_text(state._asdict() | {"schema": SCHEMA, "created_at": state.created_at.isoformat()})


def _put_back(path: Path) -> str:
    """Return the command that restores a damaged marker, or where to read on if there is no intact copy."""
    return put_back(path / MARKER, path / BACKUPS) or DAMAGED


def parsed_marker(path: Path, text: str) -> StateFolder:
    """Parse a marker; raise OperatorError if it was changed."""
    try:
        content = marker_content(text)
        schema = int(content["schema"])
        identity, kind, mode, number, venue = (str(content[name]) for name in NAMES)
        created_at = datetime.fromisoformat(content["created_at"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedMarkerError(
            f"The marker {path / MARKER} is damaged: it doesn't have the form that tradebot writes.",
            _put_back(path),
        ) from error
    if schema != SCHEMA:
        raise OperatorError(
            f"{path} was written by another version of tradebot (schema {schema}; this one reads {SCHEMA}).",
            "Use the version that wrote it, or start over: tradebot init --state-dir NEW",
        )
    return StateFolder(path, identity, kind, mode, number, created_at, venue)


def _not_found(path: Path, environ: Mapping[str, str]) -> OperatorError:
    obstacle = _in_the_way(path)
    if obstacle is not None:
        return _not_a_folder(obstacle)
    if os.path.isfile(path / LEDGER):
        if again := put_back(path / MARKER, path / BACKUPS):
            return DamagedMarkerError(f"{path} has books ({LEDGER}), but its marker ({MARKER}) is lost.", again)
        return OperatorError(
            f"{path} has books ({LEDGER}) but no marker ({MARKER}): setup never finished, or the marker was lost.",
            f"{_init(path, environ)}   (moves unused books aside, and leaves used books alone)",
        )
    states, init = known_states(environ), _init(path, environ)
    reason = (
        f"State folders known here: {', '.join(map(str, states[:MOST_NAMED]))}."
        if states
        else "No other state folder is known here."
    )
    hint = f"add {option(states[0])} to use that one, or create another: {init}" if states else init
    return OperatorError(f"There is no state at {path.absolute()}. {reason}", hint)


def _init(path: Path, environ: Mapping[str, str]) -> str:
    """Return the command that creates this folder, with the mode from the environment or the folder's name.

    A folder named paper must not become a sandbox because someone followed a hint.
    """
    described_mode = (environ.get("TRADING_MODE") or environ.get("TRADEBOT_MODE") or path.name).lower()
    mode = f" --mode {described_mode}" if described_mode in ("paper", "live") else ""
    return f"tradebot init{mode} {option(path)}"
