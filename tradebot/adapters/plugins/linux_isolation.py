"""Isolate a process on Linux: filter its system calls with seccomp, and enter namespaces.

The filter allows no sockets, no new processes, and no system call that would circumvent the other mechanisms. It sees
only a call's numeric arguments, not the data behind pointers.

In namespaces, a process sees its own files, processes and network instead of the machine's. Where the system allows it,
an unprivileged process can create the other namespaces inside a user namespace.
"""

import ctypes
import errno
import os
import signal
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from tradebot.adapters.plugins.file_access import FileAccess
from tradebot.adapters.plugins.linux_syscalls import call, end_with_parent, forbid_new_privileges

NEW_MOUNTS, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000

READ_ONLY, NO_SET_UID, NO_DEVICES, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18

MOST_FILES = 256

"""The highest number of an open file in a keeper."""

DETACH = 2

OWN_FOLDER = b"mode=700,size=64m,nr_inodes=4k"

FLAGS_TO_REPEAT = 0b1111

"""Flags of a mount that a remount must repeat: read-only, no set-user-id, no devices, no programs."""


def enter() -> None:
    """Enter new namespaces, except the mount namespace; later child processes live in the new process namespace."""
    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_USERS | NEW_PIDS | NEW_NETWORK | NEW_IPC)
    # In a user namespace with a single user, that user must be mapped to its id outside.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(text)


def first_process() -> int:
    """Start the first process of the new process namespace; when it ends, the kernel kills all others in it."""
    pid = os.fork()
    if not pid:
        _wait_until_killed()
    return pid


def _wait_until_killed() -> NoReturn:
    try:
        end_with_parent(signal.SIGKILL)
        # The other end must notice when the plug-in closes its end of a pipe.
        os.closerange(3, MOST_FILES)
        # The kernel then reaps each orphan by itself.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            signal.pause()
    finally:
        os._exit(1)


def change_root(reach: FileAccess, root: Path) -> None:
    """Show this process only the files it may access; `root` is an empty folder in which its root is built."""
    call("unshare", NEW_MOUNTS)
    call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    call("mount", b"tmpfs", os.fsencode(root), b"tmpfs", NO_SET_UID | NO_DEVICES, b"mode=755,size=1m")
    visible = sorted({*reach.read, *reach.write})
    own = reach.own.resolve()
    for path in _outermost({path.resolve() for path in visible}):
        if path != own:
            _show(path, root, writable=path in reach.write)
    _make(own, root)
    for path in visible:
        _link(path, root)
    for path in reach.listed:
        Path(f"{root}{path}").mkdir(parents=True, exist_ok=True)
    os.chdir(root)
    # The old root is mounted over the new one, then detached.
    call("pivot_root", b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")
    call("mount", None, b"/", None, REMOUNT | BIND | READ_ONLY, None)


def _outermost(paths: set[Path]) -> list[Path]:
    """Return the paths that none of the other paths contains."""
    outer: list[Path] = []
    for path in sorted(paths):
        if not any(path.is_relative_to(other) for other in outer):
            outer.append(path)
    return outer


def _show(path: Path, root: Path, *, writable: bool) -> None:
    """Make a path of the old root visible at the same path in the new one."""
    target = Path(f"{root}{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir(exist_ok=True) if path.is_dir() else target.touch()
    call("mount", os.fsencode(path), os.fsencode(target), None, BIND | RECURSIVE, None)
    if not writable:
        outer = os.statvfs(target).f_flag & FLAGS_TO_REPEAT
        call("mount", None, os.fsencode(target), None, REMOUNT | BIND | READ_ONLY | outer, None)


def _make(own: Path, path: Path) -> None:
    """Create a folder in memory that disappears with the last process that sees it."""
    target = Path(f"{path}{own}")
    target.mkdir(parents=True, exist_ok=True)
    call("mount", b"tmpfs", os.fsencode(target), b"tmpfs", NO_SET_UID | NO_DEVICES, OWN_FOLDER)


def _link(path: Path, root: Path) -> None:
    """Make a path that goes through links lead to the same file in the new root."""
    target = Path(f"{root}{path}")
    # If a folder above it is already a link, that link leads there.
    if path != path.resolve() and target.parent.resolve().is_relative_to(root):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(target):
            target.symlink_to(path.resolve())


PR_SET_SECCOMP, MODE_FILTER = 22, 2

LOAD, EQUAL, AT_LEAST, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06

ALLOW, END, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM

LACKING = 0x00050000 | errno.ENOSYS

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16

"""Where the filter finds a call's number, its architecture and its arguments."""

DATAGRAM, TYPE_OF_SOCKET = 2, 0xF

THREAD = 0x10000

"""The flag that makes clone create a thread instead of a process."""

OTHER_TABLE = 0x40000000

"""From this number on, x86-64 lists its calls a second time."""

Calls = dict[str, tuple[int, ...]]

SHARED = (425, 426, 427, 438)  # io_uring in three calls, pidfd_getfd

MODES = (452, 463, 466)  # fchmodat2, setxattrat, removexattrat

NEWER_CLONE = 435

OF_PROCESSES = (434, 440, 448)  # pidfd_open, process_madvise, process_mrelease

TABLES: dict[str, tuple[int, Calls]] = {
    "x86_64": (
        0xC000003E,
        {
            "socket": (41,),
            "socketpair": (53,),
            # ptrace, process_vm_*, bpf, perf_event_open, open_by_handle_at, keys
            "others": (101, 310, 311, 321, 298, 304, 248, 249, 250, *SHARED),
            "fork": (57, 58),  # fork, vfork
            "clone": (56,),
            # truncate, chmod, chown, extended attributes
            "files": (76, 90, 91, 268, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199, *MODES),
            # utime, utimes, futimesat, utimensat; inotify_init, inotify_add_watch, inotify_init1; fanotify_*
            "times and watches": (132, 235, 261, 280, 253, 254, 294, 300, 301),
            # setpriority, ioprio_set, migrate_pages, move_pages, kcmp
            "processes": (141, 251, 256, 279, 312, *OF_PROCESSES),
            # sched_setparam, sched_setscheduler, sched_setaffinity, sched_setattr, prlimit64
            "settings": (142, 144, 203, 314, 302),
            "signals": (62, 200, 234),  # kill, tkill, tgkill
            "queued signals": (129, 297, 424),  # rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "socket": (198,),
            "socketpair": (199,),
            "others": (117, 270, 271, 280, 241, 265, 217, 218, 219, *SHARED),
            "fork": (),
            "clone": (220,),
            "files": (45, 52, 53, 54, 55, 5, 6, 7, 14, 15, 16, *MODES),
            "times and watches": (88, 26, 27, 262, 263),
            "processes": (140, 30, 238, 239, 272, *OF_PROCESSES),
            "settings": (118, 119, 122, 274, 261),
            "signals": (129, 130, 131),
            "queued signals": (138, 240, 424),
        },
    ),
}


def restrict(*, files: bool, processes: bool, signals: bool) -> None:
    """Refuse sockets, new processes and access to other processes; each option adds restrictions.

    With `files`, changing a file's mode or times, or watching it, is refused too; with `processes`, changing other
    processes' limits and priorities; with `signals`, sending signals to them. Raise OSError if the system can't do
    this.
    """
    architecture, calls = _table()
    refused = {"socket": True, "others": True, "fork": True, "files": files, "times and watches": files}
    refused |= {"processes": processes, "queued signals": signals}
    rules = [refuse(number) for name, is_refused in refused.items() if is_refused for number in calls[name]]
    # If clone3 seems missing, the C library creates threads with clone, whose flags the filter can see.
    rules += [[_step(EQUAL, NEWER_CLONE, 0, 1), _step(RETURN, LACKING)]]
    rules += [_refuse_where(number, 0, THREAD, 0) for number in calls["clone"]]
    # A datagram socket of a pair could still be pointed elsewhere. asyncio needs only the other kind.
    rules += [_refuse_where(number, 1, TYPE_OF_SOCKET, DATAGRAM) for number in calls["socketpair"]]
    rules += [_refuse_unless(number, (0, os.getpid())) for number in calls["settings"] if processes]
    rules += [_refuse_unless(number, (os.getpid(),)) for number in calls["signals"] if signals]
    install(architecture, [step for rule in rules for step in rule])


def _table() -> tuple[int, Calls]:
    table = TABLES.get(os.uname().machine)
    if table is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(errno.ENOSYS, "tradebot doesn't know the system calls of this type of machine")
    return table


def install(architecture: int, rules: Iterable[bytes]) -> None:
    """Apply a filter to this process and everything it starts; calls that match no rule are allowed."""
    steps = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, architecture, 1, 0),
        _step(RETURN, END),
        _step(LOAD, NUMBER),
        _step(AT_LEAST, OTHER_TABLE, 0, 1),
        _step(RETURN, REFUSE),
        *rules,
        _step(RETURN, ALLOW),
    ]
    program = b"".join(steps)
    buffer = ctypes.create_string_buffer(program, len(program))
    pointed = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    forbid_new_privileges()
    call("prctl", PR_SET_SECCOMP, MODE_FILTER, pointed, 0, 0)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def refuse(number: int) -> list[bytes]:
    """Return the filter steps that refuse a call."""
    return [_step(EQUAL, number, 0, 1), _step(RETURN, REFUSE)]


def _refuse_where(number: int, argument: int, mask: int, value: int) -> list[bytes]:
    """Return the filter steps that refuse a call if these bits of an argument have this value."""
    return [
        _step(EQUAL, number, 0, 5),
        _step(LOAD, ARGUMENTS + 8 * argument),
        _step(AND, mask),
        _step(EQUAL, value, 0, 1),
        _step(RETURN, REFUSE),
        _step(RETURN, ALLOW),
    ]


def _refuse_unless(number: int, allowed: tuple[int, ...]) -> list[bytes]:
    """Return the filter steps that refuse a call unless its first argument is one of these."""
    remaining = range(len(allowed), 0, -1)
    return [
        _step(EQUAL, number, 0, len(allowed) + 3),
        _step(LOAD, ARGUMENTS),
        *(_step(EQUAL, each, steps, 0) for each, steps in zip(allowed, remaining, strict=True)),
        _step(RETURN, REFUSE),
        _step(RETURN, ALLOW),
    ]
