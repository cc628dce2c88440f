"""The machine under the bot: versions, room on the disk, who may read its files, who else is at work."""

import os
import re
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from commands.doctor.checks.row import Check, Mark, attempt, skipped
from tradebot import __version__
from tradebot.adapters.state import file_systems, lock, state_folder
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.errors import OperatorError, TradebotError

LEAST_BYTES = 100_000_000
GOOD_BYTES = 1_000_000_000
LEAST_SQLITE = (3, 33)
"""The ledger's schema is read from `sqlite_schema`, which older versions call otherwise."""
ENTER, CHANGE = stat.S_IXGRP | stat.S_IXOTH, stat.S_IWGRP | stat.S_IWOTH
"""What others than the owner may do: come into a folder, and write."""
LOCKS = (lock.LOCK, lock.SERVE_LOCK)
PROGRAMS = "fuse."
"""How a file system begins that is a program's: its locks and syncs hold what that program promises."""
FORGETFUL = ("tmpfs", "ramfs")
"""File systems that stand in memory."""
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)")
COMPARE = re.compile(r"(>=|<=|==|<|>)\s*([\d.]+)")


def machine_checks(path: Path, environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield the rows that need no bot, only the place where it lives, or will live."""
    place = next(there for there in (path.absolute(), *path.absolute().parents) if there.is_dir())
    yield attempt("versions", versions)
    yield attempt("disk", lambda: disk(place))
    if path.is_dir():
        yield attempt("permissions", lambda: permissions(path))
    else:
        yield skipped("permissions", "there is no folder to look at yet")
    yield attempt(".env", lambda: env_file(Path(".env")))


def versions() -> Check:
    """Compare Python, SQLite and each package that we need with the range that we support."""
    needed = [text for text in metadata.requires("tradebot") or () if ";" not in text]
    sqlite = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
    wrong = [problem for text in needed if (problem := _out_of_range(text))]
    if not _within(
        _release(".".join(map(str, sys.version_info[:3]))), metadata.metadata("tradebot")["Requires-Python"]
    ):
        wrong.append(f"Python {sys.version.split()[0]}")
    if sqlite < LEAST_SQLITE:
        wrong.append(f"SQLite {sqlite3.sqlite_version}")
    said = (
        f"tradebot {__version__}, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, "
        f"alpaca-py {metadata.version('alpaca-py')}"
    )
    if wrong:
        found = f"{said}; outside of what is supported: {', '.join(wrong)}"
        fix = "Install from the locks: deploy/install, or make demo"
        return Check("versions", Mark.FAIL, found, "versions", len(needed) + 2, fix=fix)
    return Check("versions", Mark.OK, said, "versions with their supported ranges", len(needed) + 2)


def _out_of_range(requirement: str) -> str | None:
    """Return what is wrong with an installed package, None where its version is within the range."""
    match = REQUIREMENT.match(requirement)
    assert match, f"a requirement that cannot be read: {requirement}"
    name, wanted = match.groups()
    try:
        held = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    return None if _within(_release(held), wanted) else f"{name} {held} (wanted {wanted.strip()})"


def _within(held: tuple[int, ...], wanted: str) -> bool:
    return all(_compares(held, sign, _release(bound)) for sign, bound in COMPARE.findall(wanted))


def _compares(held: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    longest = max(len(held), len(bound))
    left, right = (parts + (0,) * (longest - len(parts)) for parts in (held, bound))
    signs = {">=": left >= right, "<=": left <= right, "==": left == right, "<": left < right, ">": left > right}
    return signs[sign]


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what follows them (2.1.0rc1 counts as 2.1.0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+-]", version)[0]))


def disk(path: Path) -> Check:
    """Look at the free room of the state's disk, and at the kind of its file system."""
    free = shutil.disk_usage(path).free
    kind = file_systems.kind_of(path)
    found = f"{free / 1e9:,.1f} GB free" + (f" on {kind}" if kind else "")
    if free < GOOD_BYTES:
        mark = Mark.FAIL if free < LEAST_BYTES else Mark.WARN
        return Check("disk", mark, found, "disk", 1, fix="Make room: an order needs its durable promise first")
    mark, unfit = _fitness(kind or "", sandbox=_mode(path) == "sandbox")
    if mark is Mark.OK:
        return Check("disk", mark, found, "disk", 1)
    fix = "Move the state folder to a disk of this machine, then name it: --state-dir NEW"
    return Check("disk", mark, f"{found}, {unfit}", "disk", 1, fix=fix)


def _fitness(kind: str, *, sandbox: bool) -> tuple[Mark, str]:
    """Say whether a kind of file system is a place for a state, and why not; a sandbox may be lost."""
    if file_systems.is_network(kind):
        return Mark.WARN if sandbox else Mark.FAIL, "where locks do not hold between machines"
    if kind.startswith(PROGRAMS):
        return Mark.WARN, "where locks and syncs may not hold"
    if kind in FORGETFUL and not sandbox:
        return Mark.WARN, "which is empty again when the machine has stopped"
    return Mark.OK, ""


def _mode(path: Path) -> str:
    """Return the mode of a state; without a mode in its marker it counts as a sandbox, and gets a separate row."""
    try:
        return state_folder.read_marker(path).mode
    except OperatorError:
        return "sandbox"


def permissions(path: Path) -> Check:
    """Look at who may use the state folder, and whether everything in it is ours to change."""
    entries = [path, *path.iterdir()]
    barred = [entry.name for entry in entries if not _is_ours(entry)]
    if barred:
        fix = f"sudo chown -R $(id -un) {path}; never run the bot as another user"
        found = f"not ours to change: {', '.join(sorted(barred)[:3])}"
        return Check("permissions", Mark.FAIL, found, "files of the state folder", len(entries), fix=fix)
    return _openness(path, entries)


def _openness(path: Path, entries: Sequence[Path]) -> Check:
    """Judge what others may do: files that they can change matter as soon as they can enter the folder."""
    mode, looked_at, close = path.stat().st_mode, "files of the state folder", f"chmod 700 {path}"
    exposed = sorted(entry.name for entry in entries if _others_may_change(entry)) if mode & ENTER else []
    if exposed:
        found = f"others may enter {path} ({stat.filemode(mode)}) and change {', '.join(exposed[:3])}"
        fix = f"{close} && chmod go-rwx {path}/*"
        return Check("permissions", Mark.FAIL, found, looked_at, len(entries), fix=fix)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        mark, what = (Mark.FAIL, "change") if mode & CHANGE else (Mark.WARN, "read")
        found = f"others may {what} {path} ({stat.filemode(mode)})"
        return Check("permissions", mark, found, looked_at, len(entries), fix=close)
    found = f"{path} is its owner's alone ({stat.filemode(mode)})"
    return Check("permissions", Mark.OK, found, looked_at, len(entries))


def _others_may_change(entry: Path) -> bool:
    mode = entry.lstat().st_mode
    return stat.S_ISREG(mode) and bool(mode & CHANGE)


def _is_ours(entry: Path) -> bool:
    if entry.is_symlink() and not entry.exists():
        # A link that leads nowhere is for whoever reads it to name; no change of owner mends it.
        return entry.lstat().st_uid == os.geteuid()
    return entry.lstat().st_uid == os.geteuid() and os.access(entry, os.R_OK | os.W_OK)


def env_file(path: Path) -> Check:
    """Look at who may read the file of keys."""
    from tradebot.adapters.state.env_file import read_env_file

    # Whatever is refused here is refused to every verb: a row that judged by itself could say otherwise.
    read_env_file(path)
    if not path.exists():
        return skipped(".env", f"no {path.absolute()}: keys can only come from the environment")
    found = f"{path.absolute()} is its owner's alone ({stat.filemode(path.stat().st_mode)})"
    return Check(".env", Mark.OK, found, "file", 1)


def instances(folder: StateFolder, environ: Mapping[str, str]) -> Check:
    """Look for whoever holds the folder's locks, and for another folder with books of the same account."""
    held = [who for name in LOCKS if (who := lock.holder(folder.path, name))]
    others = [state.path for state in _other_states(folder, environ) if state.account_number == folder.account_number]
    looked = len(LOCKS) + 1 + len(others)
    if others and folder.mode != "sandbox":
        found = f"account …{folder.tail} has books in {', '.join(map(str, others))} too"
        fix = "Keep one of them: each calls the other's trades foreign"
        return Check("second instance", Mark.FAIL, found, "locks and other states", looked, fix=fix)
    found = f"at work now: {'; '.join(held)}" if held else "nobody else is at work"
    return Check("second instance", Mark.OK, found, "locks and other states", looked)


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
    """Return the folder, or the error that says that it is damaged or does not exist yet.

    Raise OperatorError if a file is in its place.
    """
    try:
        return state_folder.open_state(path, environ)
    except OperatorError as error:
        if any(place.is_file() for place in (path, *path.parents)):
            raise
        return error
