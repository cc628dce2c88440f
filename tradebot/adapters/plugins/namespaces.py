"""Enter Linux namespaces: a process then sees its own files, processes and network instead of the machine's.

Where the system allows it, anyone may create the other namespaces inside a user namespace.
"""

import os
import signal
from pathlib import Path
from typing import NoReturn

from tradebot.adapters.plugins.file_access import FileAccess
from tradebot.adapters.plugins.linux_syscalls import call, end_with_parent

NEW_MOUNTS, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SET_UID, NO_DEVICES, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
DETACH = 2
OWN_FOLDER = b"mode=700,size=64m,nr_inodes=4k"
FLAGS_TO_REPEAT = 0b1111
"""Flags of a mount that a remount must repeat: read-only, no set-user-id, no devices, no programs."""


def enter() -> None:
    """Enter new namespaces, except for files; processes started from now on live in the new process namespace."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_USERS | NEW_PIDS | NEW_NETWORK | NEW_IPC)
    # A namespace with a single user needs that user mapped to the id it has outside.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(text)


def first_process() -> int:
    """Start the first process of the new namespace; when it ends, the kernel kills all others in it."""
    pid = os.fork()
    if not pid:
        _wait_until_killed()
    return pid


def _wait_until_killed() -> NoReturn:
    try:
        end_with_parent(signal.SIGKILL)
        # The kernel then reaps each orphan by itself.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            signal.pause()
    finally:
        os._exit(1)


def change_root(reach: FileAccess, place: Path) -> None:
    """Show this process only the files it may reach; `place` is an empty folder in which to build its root."""
    call("unshare", NEW_MOUNTS)
    call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    call("mount", b"tmpfs", os.fsencode(place), b"tmpfs", NO_SET_UID | NO_DEVICES, b"mode=755,size=1m")
    visible = sorted({*reach.read, *reach.write})
    own = reach.own.resolve()
    for path in _outermost({path.resolve() for path in visible}):
        if path != own:
            _show(path, place, writable=path in reach.write)
    _make(own, place)
    for path in visible:
        _link(path, place)
    for path in reach.listed:
        Path(f"{place}{path}").mkdir(parents=True, exist_ok=True)
    os.chdir(place)
    # The old root is mounted over the new one, then detached.
    call("pivot_root", b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")
    call("mount", None, b"/", None, REMOUNT | BIND | READ_ONLY, None)


def _outermost(paths: set[Path]) -> list[Path]:
    """Return the paths that none of the other paths contains."""
    kept: list[Path] = []
    for path in sorted(paths):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _show(path: Path, place: Path, *, writable: bool) -> None:
    """Make a path of the old root visible at the same place in the new one."""
    target = Path(f"{place}{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir(exist_ok=True) if path.is_dir() else target.touch()
    call("mount", os.fsencode(path), os.fsencode(target), None, BIND | RECURSIVE, None)
    if not writable:
        kept = os.statvfs(target).f_flag & FLAGS_TO_REPEAT
        call("mount", None, os.fsencode(target), None, REMOUNT | BIND | READ_ONLY | kept, None)


def _make(own: Path, place: Path) -> None:
    """Create a folder in memory that disappears with the last process that sees it."""
    target = Path(f"{place}{own}")
    target.mkdir(parents=True, exist_ok=True)
    call("mount", b"tmpfs", os.fsencode(target), b"tmpfs", NO_SET_UID | NO_DEVICES, OWN_FOLDER)


def _link(path: Path, place: Path) -> None:
    """Make a path that goes through links lead to the same file in the new root."""
    target = Path(f"{place}{path}")
    # If a folder above it is already a link, that link leads there.
    if path != path.resolve() and target.parent.resolve().is_relative_to(place):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            target.symlink_to(path.resolve())
