"""Check who else can change a state folder: the folder, every folder above it, and everything in it.

Anyone who can write to one of these folders can put links and files into ours, or swap a folder for another one. Anyone
who can write to one of our files can change limits, books or backups. Quick commands import this module, so it imports
only small modules of the standard library.
"""

import os
import pwd
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.state.resources import network_kind

OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""For the state folder itself, the group counts as others: the folder is for its owner alone."""
ELSEWHERE = "or name another folder: --state-dir"

Look = Callable[[Path], os.stat_result]
"""Either os.stat or os.lstat."""


class UnsafePermission(NamedTuple):
    """An unsafe permission: the problem, and the command that fixes it."""

    problem: str
    remedy: str


def find_unsafe_permission(folder: Path) -> UnsafePermission | None:
    """Return the first permission that lets other users change a folder; None if there is none."""
    return _first_unless_network(folder, lambda: _open_doors(folder))


def find_unsafe_within(folder: Path, inner: Collection[str]) -> UnsafePermission | None:
    """Return the first file or folder in a state folder that other users can write; None if there is none.

    Of the folders in it, only those named in `inner` are checked, each with everything below it.
    """
    return _first_unless_network(folder, lambda: _unsafe_within(folder, _others_enter(os.stat(folder)), inner))


def _first_unless_network(folder: Path, findings: Callable[[], Iterator[UnsafePermission]]) -> UnsafePermission | None:
    """Return the first finding; None on a network disk, because there the permission bits mean nothing.

    Paper and live refuse to trade from a network disk anyway.
    """
    try:
        first = next(findings(), None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return UnsafePermission(f"{error.filename} can't be checked: {error.strerror}", f"ls -ld {error.filename}")
    return None if first is None or network_kind(folder) else first


def another_owner(path: Path, owner: int) -> str | None:
    """Return the problem if another user owns a file, and so can change it anytime; None if it is ours."""
    us = os.geteuid()
    return None if owner == us else f"{path} belongs to another user (uid {owner}, and this is uid {us})"


def _open_doors(folder: Path) -> Iterator[UnsafePermission]:
    own = _stat_if_exists(folder)
    if own is not None:
        problem = another_owner(folder, own.st_uid)
        if problem:
            take = f"sudo chown -R {os.geteuid()} {folder}"
            yield UnsafePermission(
                problem, f"run it as that user: sudo -u '#{own.st_uid}' …, or take ownership: {take}"
            )
        if own.st_mode & OTHERS:
            yield UnsafePermission(f"{folder} is writable by other users", f"chmod go-w {folder}, {ELSEWHERE}")
    # Check the parent folders both along links and with links resolved.
    for parent in dict.fromkeys([*folder.absolute().parents, *folder.resolve().parents]):
        yield from _unsafe_above(parent)


def _unsafe_within(folder: Path, entered: bool, inner: Collection[str] | None) -> Iterator[UnsafePermission]:
    """Yield what others can write in a folder; `entered` says whether its permissions let them in."""
    for path in _entries(folder):
        link = _stat_or_none(path, os.lstat)
        linked = link is not None and stat.S_ISLNK(link.st_mode)
        target = _stat_or_none(path, os.stat) if linked else link
        is_folder = target is not None and stat.S_ISDIR(target.st_mode)
        if is_folder and inner is not None and path.name not in inner:
            continue
        yield from _foreign_owner(path, filter(None, (link, target) if linked else (link,)))
        if target is None:
            continue
        if linked:
            for parent in path.resolve().parents:
                yield from _unsafe_above(parent, f"contains the target of the link {path}")
        # A file with two names may be reached through the other name, wherever that is.
        reached = entered or linked or (target.st_nlink > 1 and not is_folder)
        if reached and _others_write(target):
            yield UnsafePermission(f"{path} is writable by other users", f"chmod go-w {path}")
        if is_folder:
            yield from _unsafe_within(path, reached and _others_enter(target), None)


def _entries(folder: Path) -> list[Path]:
    """Return a folder's entries; none if we can't read it, because then nothing in it is read either."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except PermissionError:
        return []


def _stat_or_none(path: Path, look: Look) -> os.stat_result | None:
    """Return a path's stat; None if we can't reach it, because then it isn't read either."""
    try:
        return _stat_if_exists(path, look)
    except OSError:
        return None


def _foreign_owner(path: Path, status: Iterable[os.stat_result]) -> Iterator[UnsafePermission]:
    """Yield a finding if a file, or the link to it, belongs to another user; root may own it."""
    strangers = (statu.st_uid for statu in status if statu.st_uid not in (0, os.geteuid()))
    problems = (another_owner(path, owner) for owner in strangers if owner != os.stat("/").st_uid)
    for problem in filter(None, problems):
        yield UnsafePermission(problem, f"take ownership: sudo chown -h {os.geteuid()} {path}, or move it away")


def _unsafe_above(parent: Path, where: str = "contains the state folder") -> Iterator[UnsafePermission]:
    """Check a folder above ours; a sticky bit, as on /tmp, keeps others from renaming our folders in it."""
    status = _stat_if_exists(parent)
    if status is None:
        return
    if _others_write(status) and not status.st_mode & stat.S_ISVTX:
        problem = f"{parent} {where} and is writable by other users"
        yield UnsafePermission(problem, f"chmod go-w {parent}, {ELSEWHERE}")
    # The owner of the root folder can do anything anyway; inside a container that need not be uid 0.
    owner_problem = another_owner(parent, status.st_uid)
    if owner_problem and status.st_uid != os.stat("/").st_uid:
        yield UnsafePermission(owner_problem, f"move the state into a folder you own, {ELSEWHERE}")


def _others_write(status: os.stat_result) -> bool:
    """Return True if anyone else may write a file or a folder."""
    return _others_may(status, stat.S_IWGRP, stat.S_IWOTH)


def _others_enter(status: os.stat_result) -> bool:
    """Return True if a folder's permissions let anyone else access its content."""
    return _others_may(status, stat.S_IXGRP, stat.S_IXOTH)


def _others_may(status: os.stat_result, of_group: int, of_all: int) -> bool:
    """Return True if a bit is set for others; a user's own private group, common on many systems, doesn't count."""
    if status.st_mode & of_all:
        return True
    return bool(status.st_mode & of_group) and not _is_our_own(status.st_gid)


def _is_our_own(group: int) -> bool:
    """Return True if a group is this user's private one: it has the same name and no other member."""
    import grp

    try:
        user, names = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return (names.gr_name, group) == (user.pw_name, user.pw_gid) and set(names.gr_mem) <= {user.pw_name}


def _stat_if_exists(path: Path, look: Look = os.stat) -> os.stat_result | None:
    try:
        return look(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
