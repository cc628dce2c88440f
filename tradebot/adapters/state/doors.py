"""Who else can reach into a state folder: it, every folder above it and what it holds must be closed to all others.

Whoever may write one of these folders can put links and files into ours, or another folder in its place; whoever may
write a file of ours can change limits, books or backups. Quick commands import this, so it uses the cheap part of the
standard library only.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.state.file_systems import network_kind

OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""Of the state folder itself the group counts as others, whoever is in it: we make it for its owner alone."""
ELSEWHERE = "or name another folder: --state-dir"

Look = Callable[[Path], os.stat_result]
"""os.stat or os.lstat."""


class Door(NamedTuple):
    """A way in that stands open to others: what is wrong, and the command that closes it."""

    problem: str
    remedy: str


def open_door(folder: Path) -> Door | None:
    """Return the first way into a folder that stands open to others; None if there is none."""
    return _first(folder, lambda: _open_doors(folder))


def open_door_within(folder: Path, inner: Collection[str]) -> Door | None:
    """Return the first file or folder in a state folder that somebody else can write; None if there is none.

    Of the folders in it only those named `inner` are ours to judge, each with everything below it.
    """
    return _first(folder, lambda: _doors_within(folder, _others_enter(os.stat(folder)), inner))


def _first(folder: Path, doors: Callable[[], Iterator[Door]]) -> Door | None:
    """Return the first door; on a network's disk the bits are the mount's and say nothing.

    Paper and live send nothing from there anyway.
    """
    try:
        found = next(doors(), None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Door(f"{error.filename} cannot be looked at: {error.strerror}", f"ls -ld {error.filename}")
    return None if found is None or network_kind(folder) else found


def another_owner(path: Path, owner: int) -> str | None:
    """Return in words that a file belongs to somebody else, who can change it at any time; None if it is ours."""
    us = os.geteuid()
    return None if owner == us else f"{path} belongs to another user (uid {owner}, and this is uid {us})"


def _open_doors(folder: Path) -> Iterator[Door]:
    own = _found(folder)
    if own is not None:
        problem = another_owner(folder, own.st_uid)
        if problem:
            take = f"sudo chown -R {os.geteuid()} {folder}"
            yield Door(problem, f"type it as that user: sudo -u '#{own.st_uid}' …, or take the folder over: {take}")
        if own.st_mode & OTHERS:
            yield Door(f"{folder} can be written by others than its owner", f"chmod go-w {folder}, {ELSEWHERE}")
    # The folders on the way by links count, and those on the way without.
    for parent in dict.fromkeys([*folder.absolute().parents, *folder.resolve().parents]):
        yield from _above(parent)


def _doors_within(folder: Path, entered: bool, inner: Collection[str] | None) -> Iterator[Door]:
    """Yield what others can write in a folder; `entered` says that its bits let them pass."""
    for path in _entries(folder):
        link, there = (_reached(path, look) for look in (os.lstat, os.stat))
        is_folder = there is not None and stat.S_ISDIR(there.st_mode)
        if is_folder and inner is not None and path.name not in inner:
            continue
        yield from _of_others(path, filter(None, (link, there)))
        if link is None or there is None:
            continue
        linked = stat.S_ISLNK(link.st_mode)
        if linked:
            for parent in path.resolve().parents:
                yield from _above(parent, f"lies above what {path} leads to")
        # A file of two names may be reached by the other one, wherever that is.
        reached = entered or linked or (there.st_nlink > 1 and not is_folder)
        if reached and _others_write(there):
            yield Door(f"{path} can be written by others than its owner", f"chmod go-w {path}")
        if is_folder:
            yield from _doors_within(path, reached and _others_enter(there), None)


def _entries(folder: Path) -> list[Path]:
    """Return what a folder holds; nothing where we may not look, because then we read nothing from there either."""
    try:
        return sorted(folder.iterdir())
    except PermissionError:
        return []


def _reached(path: Path, look: Look) -> os.stat_result | None:
    """Return what is at a path; None where we do not get there, because then we read nothing from there either."""
    try:
        return _found(path, look)
    except OSError:
        return None


def _of_others(path: Path, found: Iterable[os.stat_result]) -> Iterator[Door]:
    """Yield that a file, or the link to it, belongs to somebody else; the system's administrator may do all anyway."""
    trusted = (0, os.stat("/").st_uid)
    problems = (another_owner(path, one.st_uid) for one in found if one.st_uid not in trusted)
    for problem in filter(None, problems):
        yield Door(problem, f"take it over: sudo chown -h {os.geteuid()} {path}, or move it away")


def _above(parent: Path, place: str = "lies above the state folder") -> Iterator[Door]:
    """Judge a folder above ours; the sticky bit, as /tmp has it, keeps others from renaming what is ours there."""
    found = _found(parent)
    if found is None:
        return
    if _others_write(found) and not found.st_mode & stat.S_ISVTX:
        said = f"{parent} {place} and can be written by others"
        yield Door(said, f"chmod go-w {parent}, {ELSEWHERE}")
    # Whoever owns the root of all folders may do everything anyway; inside of a container that need not be uid 0.
    problem = another_owner(parent, found.st_uid)
    if problem and found.st_uid != os.stat("/").st_uid:
        yield Door(problem, f"move the state into a folder of your own, {ELSEWHERE}")


def _others_write(found: os.stat_result) -> bool:
    """Return True if anybody else may write a file or a folder."""
    return _others_may(found, stat.S_IWGRP, stat.S_IWOTH)


def _others_enter(found: os.stat_result) -> bool:
    """Return True if a folder lets anybody else pass to what is in it."""
    return _others_may(found, stat.S_IXGRP, stat.S_IXOTH)


def _others_may(found: os.stat_result, of_group: int, of_all: int) -> bool:
    """Return True if a bit is set for others; many systems give each user a group with nobody else in it."""
    if found.st_mode & of_all:
        return True
    return bool(found.st_mode & of_group) and not _is_our_own(found.st_gid)


def _is_our_own(group: int) -> bool:
    """Return True if a group is the private one of this user: of the same name, and with no other member."""
    import grp
    import pwd

    try:
        user, known = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return (known.gr_name, group) == (user.pw_name, user.pw_gid) and set(known.gr_mem) <= {user.pw_name}


def _found(path: Path, look: Look = os.stat) -> os.stat_result | None:
    try:
        return look(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
