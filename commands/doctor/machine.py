"""Check the machine: versions, access to the bot's files, and other processes that use the folder."""

import os
import platform
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tradebot import __version__
from tradebot.adapters.state import state_folder, state_locks
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.state.user_files import read_env_file
from tradebot.adapters.text.extras import ADDS, DISTRIBUTION, install, required_by
from tradebot.adapters.wire.allowed_hosts import check_secret
from tradebot.app.flow_plan import plan_of
from tradebot.app.keys import FLOW_KEY, NEWS_KEYS
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError
from tradebot.judging.judgment import HealthState, Judgment

RUN_AGAIN = "Fix that, then run tradebot doctor"


class CheckResult(Struct, frozen=True):
    """The result of a check of `count` items: the state, the evidence, and the fix for a problem.

    `looked_at` says what the items are, and `age_s` is the age of the newest one in seconds.
    """

    state: HealthState
    found: str
    looked_at: str
    count: int = 1
    fix: str = ""
    age_s: float | None = 0.0

    def about(self, name: str) -> Judgment:
        """Return the result as a judgment with this subject."""
        return Judgment(name, self.state, self.looked_at, self.count, self.found, self.fix, age_s=self.age_s)


def ok(finding: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> CheckResult:
    """Return a check that found nothing wrong."""
    return CheckResult(HealthState.OK, finding, looked_at, count, age_s=age_s)


def warn(finding: str, fix: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> CheckResult:
    """Return a warning that doesn't prevent trading."""
    return CheckResult(HealthState.DEGRADED, finding, looked_at, count, fix, age_s)


def bad(finding: str, fix: str, looked_at: str, count: int = 1, age_s: float | None = 0.0) -> CheckResult:
    """Return a failed check: a requirement of trading is missing."""
    return CheckResult(HealthState.FAILED, finding, looked_at, count, fix, age_s)


def skip(finding: str) -> CheckResult:
    """Return a skipped check, with the reason."""
    return CheckResult(HealthState.SKIPPED, finding, "", 0, age_s=None)


def failed_check(error: TradebotError | OSError) -> CheckResult:
    """Return a failed check for an error that ended it."""
    if isinstance(error, TradebotError):
        return CheckResult(HealthState.FAILED, error.message, "", 0, error.hint or RUN_AGAIN, None)
    finding = ": ".join(filter(None, (error.filename and str(error.filename), error.strerror or str(error))))
    return CheckResult(HealthState.FAILED, finding, "", 0, RUN_AGAIN, None)


def attempt(name: str, check: Callable[[], CheckResult]) -> Judgment:
    """Run a check; one that raises TradebotError or OSError becomes a failed row."""
    try:
        return check().about(name)
    except (TradebotError, OSError) as error:
        return failed_check(error).about(name)


def keys_checks(app: "App", environ: Mapping[str, str]) -> Iterator[Judgment]:
    """Yield the checks of the keys, without contacting the broker."""
    if app.mode == "sandbox":
        yield skip("not needed: the embedded exchange has its own keys").about("keys")
        yield skip("not needed: the embedded exchange serves its own flow").about("flow key")
        if app.settings.news.source in NEWS_KEYS:
            yield skip("not needed: the embedded exchange serves its own headlines").about("news key")
        return
    yield attempt("keys", lambda: keys(app, environ))
    yield attempt("flow key", lambda: flow_key(app, environ))
    if app.settings.news.source in NEWS_KEYS:
        yield attempt("news key", lambda: news_key(app, environ))


def keys(app: "App", environ: Mapping[str, str]) -> CheckResult:
    """Check that key, secret and address are set and belong to the mode; a venue may have no keys."""
    connection, secret = app.connection, [key.names for key in app.driver.keys if key.secret]
    if not secret:
        return ok(f"none needed; {connection.base_url} fits mode {app.mode}", "address")
    sources = ", ".join(_source(names, environ) for names in secret)
    return ok(f"{sources}; they match mode {app.mode} and {connection.base_url}", "keys", len(secret))


def flow_key(app: "App", environ: Mapping[str, str]) -> CheckResult:
    """Check that the flow source's key is set and can be sent."""
    if not app.secrets.uw_key and app.settings.strategies.flow is None:
        return skip("UW_API_KEY is not set, and the flow strategy is off")
    if not app.secrets.uw_key:
        fix = "Set UW_API_KEY in the environment or in .env; the bot never uses made-up flow instead"
        finding = "options flow is NOT CONFIGURED: UW_API_KEY is not set"
        return bad(finding, fix, "places: the environment and .env", 2)
    check_secret(FLOW_KEY, app.secrets.uw_key)
    return ok(_source([FLOW_KEY], environ), "key")


def news_key(app: "App", environ: Mapping[str, str]) -> CheckResult:
    """Check that the key of the service with headlines is set and can be sent."""
    name = NEWS_KEYS[app.settings.news.source]
    if app.settings.news.source not in app.secrets.news:
        fix = f"Set {name} in the environment or in .env; without it, features that count news are missing"
        return warn(f"news is NOT CONFIGURED: {name} is not set", fix, "places: the environment and .env", 2)
    check_secret(name, app.secrets.news[app.settings.news.source])
    return ok(_source([name], environ), "key")


def _source(names: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return a key's name and where it was found, never the key itself."""
    named = next((name for name in names if environ.get(name, "").strip()), None)
    return f"{named} from the environment" if named else f"{names[0]} from .env"


def calls_a_session(app: "App") -> int:
    """Return how many calls to the flow source a full session makes, if all of them fit into its limits."""
    return plan_of(app.settings, app.needed_facts, None).calls if app.needed_facts else 0


LEAST_SQLITE = Version("3.33")
"""The ledger's schema is read from `sqlite_schema`, which has another name in older versions."""
ENTER, CHANGE = stat.S_IXGRP | stat.S_IXOTH, stat.S_IWGRP | stat.S_IWOTH
"""Permission bits of other users: to enter a folder, and to write."""
FILES = "files of the state folder"
LOCKS = (state_locks.LOCK, state_locks.SERVE_LOCK, state_locks.STREAM_LOCK, state_locks.FETCH_LOCK)


def machine_checks(path: Path, environ: Mapping[str, str]) -> Iterator[Judgment]:
    """Yield the checks that need only the folder, which may not exist yet."""
    yield attempt("versions", versions)
    yield attempt("extras", extras)
    yield attempt("permissions", lambda: permissions(path) if path.is_dir() else skip("there is no folder yet"))
    yield attempt(".env", lambda: env_file(Path(".env")))


def versions() -> CheckResult:
    """Check that Python, SQLite and each required package have a supported version."""
    needed = [need for text in metadata.requires(DISTRIBUTION) or () if (need := Requirement(text)).marker is None]
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    wrong = [problem for need in needed if (problem := out_of_range(need))]
    if not SpecifierSet(metadata.metadata(DISTRIBUTION)["Requires-Python"]).contains(python, prereleases=True):
        wrong.append(f"Python {python}")
    if Version(sqlite) < LEAST_SQLITE:
        wrong.append(f"SQLite {sqlite}")
    evidence = f"tradebot {__version__}, Python {python}, SQLite {sqlite}, alpaca-py {metadata.version('alpaca-py')}"
    if wrong:
        finding = f"{evidence}; not supported: {', '.join(wrong)}"
        return bad(finding, "Install from the lock files: deploy/install, or make demo", "versions", len(needed) + 2)
    return ok(evidence, "versions with their supported ranges", len(needed) + 2)


def extras() -> CheckResult:
    """List the installed extras, and what each of the others would add."""
    lacking = [name for name in ADDS if any(map(out_of_range, required_by([name])))]
    here = ", ".join(name for name in ADDS if name not in lacking) or "none"
    others = ", ".join(f"{name} ({ADDS[name]})" for name in lacking)
    finding = f"installed: {here}" + (
        f"; not installed: {others}. To add one: {install(lacking[0])}" if lacking else ""
    )
    return ok(finding, "extras of this program", len(ADDS))


def out_of_range(needed: Requirement) -> str | None:
    """Return the problem with an installed package, or None if its version is supported."""
    try:
        installed_version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return f"{needed.name} is missing"
    supported = needed.specifier
    return (
        None
        if supported.contains(installed_version, prereleases=True)
        else f"{needed.name} {installed_version} (needs {supported})"
    )


def permissions(path: Path) -> CheckResult:
    """Check who can access the state folder, and whether this process can change everything in it."""
    entries = [path, *path.iterdir()]
    barred = [entry.name for entry in entries if not _is_ours(entry)]
    if barred:
        fix = f"sudo chown -R $(id -un) {path}; never run the bot as another user"
        finding = f"we can't change {', '.join(sorted(barred)[:3])}"
        return bad(finding, fix, FILES, len(entries))
    return _openness(path, entries)


def _openness(path: Path, entries: Sequence[Path]) -> CheckResult:
    """Check what other users can do; files that they can change matter once they can enter the folder."""
    mode, close = path.stat().st_mode, f"chmod 700 {path}"
    exposed = sorted(entry.name for entry in entries if _others_may_change(entry)) if mode & ENTER else []
    if exposed:
        finding = f"other users can enter {path} ({stat.filemode(mode)}) and change {', '.join(exposed[:3])}"
        return bad(finding, f"{close} && chmod go-rwx {path}/*", FILES, len(entries))
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        check_result, what = (bad, "change") if mode & CHANGE else (warn, "read")
        return check_result(f"other users can {what} {path} ({stat.filemode(mode)})", close, FILES, len(entries))
    return ok(f"only its owner can access {path} ({stat.filemode(mode)})", FILES, len(entries))


def _others_may_change(entry: Path) -> bool:
    mode = entry.lstat().st_mode
    return stat.S_ISREG(mode) and bool(mode & CHANGE)


def _is_ours(entry: Path) -> bool:
    if entry.is_symlink() and not entry.exists():
        # A broken link is reported by whatever reads it; changing its owner wouldn't fix it.
        return entry.lstat().st_uid == os.geteuid()
    return entry.lstat().st_uid == os.geteuid() and os.access(entry, os.R_OK | os.W_OK)


def env_file(path: Path) -> CheckResult:
    """Check who can read the file with the keys."""
    # This is the check that every verb makes, so the row can't contradict them.
    read_env_file(path)
    if not path.exists():
        return skip(f"there is no {path.absolute()}, so keys can only come from the environment")
    return ok(f"only its owner can access {path.absolute()} ({stat.filemode(path.stat().st_mode)})", "file")


def instances(folder: StateFolder, environ: Mapping[str, str]) -> CheckResult:
    """Look for processes that hold the folder's locks, and for another folder with books of the same account."""
    lock_holders = [who for name in LOCKS if (who := state_locks.holder(folder.path, name))]
    others = [state.path for state in _other_states(folder, environ) if state.account_number == folder.account_number]
    checked = len(LOCKS) + 1 + len(others)
    if others and folder.mode != "sandbox":
        finding = f"account …{folder.tail} also has books in {', '.join(map(str, others))}"
        fix = "Keep only one of them: each treats the other's trades as foreign"
        return bad(finding, fix, "locks and other folders", checked)
    finding = (
        f"running now: {'; '.join(lock_holders)}" if lock_holders else "no other tradebot is running on this folder"
    )
    return ok(finding, "locks and other folders", checked)


def _other_states(folder: StateFolder, environ: Mapping[str, str]) -> Iterator[StateFolder]:
    for path in state_folder.known_states(environ):
        other = _state_at(path, environ)
        if other is not None and other.id != folder.id:
            yield other


def _state_at(path: Path, environ: Mapping[str, str]) -> StateFolder | None:
    """Return another folder's marker; None if it is damaged, which that folder's own doctor will report."""
    try:
        return state_folder.open_state(path, environ)
    except OperatorError:
        return None


def state(path: Path, environ: Mapping[str, str]) -> StateFolder | TradebotError:
    """Return the folder, or the error if it is damaged or doesn't exist yet.

    Raises OperatorError if its path, or a part of it, is a file.
    """
    try:
        return state_folder.open_state(path, environ)
    except OperatorError as error:
        if any(parent.is_file() for parent in (path, *path.parents)):
            raise
        return error
