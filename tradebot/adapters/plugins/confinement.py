"""Isolate a plug-in from the bot's keys: try every mechanism of the system once, and use those that work.

Landlock allows access only to Python and importable packages, and hides the environment and memory of other processes.
Once restricted, a process can't trace another one, or read its environment or memory under /proc, whoever owns it
(Linux 5.13 and later; see https://docs.kernel.org/userspace-api/landlock.html, which also explains the version called
`abi` below). Namespaces hide processes and the network; a mount namespace hides even names, sizes and times of the
bot's files. A filter of system calls blocks sockets and new processes. If none of these protects the bot's files and
the bot runs as root, the process becomes `nobody`, provided that `nobody` can't read them. None of this applies while a
package is being installed: its code then has all your rights. The same is true at each start of Python, if the package
has a `.pth` file.
"""

import ctypes
import os
import pwd
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from tradebot.adapters.plugins import linux_isolation, linux_syscalls
from tradebot.adapters.plugins.file_access import FileAccess
from tradebot.adapters.plugins.linux_syscalls import forbid_new_privileges, system_call
from tradebot.model.struct_tools import replace

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule for a plain file may have; the others concern a folder's content."""
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""The file rights by the version that introduced them; anything not granted is refused."""
TCP_RIGHTS, TCP_SINCE = 0b11, 4
SCOPES, SCOPED_SINCE = 0b11, 6
"""With these, neither an abstract socket nor a signal can leave the domain."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the Landlock version in use; raise OSError if the system has none."""
    return system_call(CREATE_RULESET, None, 0, ASK_VERSION)


def confines_signals() -> bool:
    """Return True if a restricted process can't signal a process outside its domain."""
    return version() >= SCOPED_SINCE


def restrict_process(reach: FileAccess) -> None:
    """Restrict this process, and every process it starts, to `reach`; raise OSError if the system can't do that."""
    abi = version()
    rights = FILE_RIGHTS[max(since for since in FILE_RIGHTS if since <= abi)]
    network, scoped = (TCP_RIGHTS if abi >= TCP_SINCE else 0), (SCOPES if abi >= SCOPED_SINCE else 0)
    rules = _Ruleset(rights, network, scoped)
    with ExitStack() as opened:
        ruleset = system_call(CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
        opened.callback(os.close, ruleset)
        for paths, allowed in ((reach.read, READ), (reach.listed, READ_DIR), (reach.write, rights)):
            for path in paths:
                _allow(ruleset, path, allowed & rights)
        forbid_new_privileges()
        system_call(RESTRICT_SELF, ruleset, 0)


def _allow(ruleset: int, path: Path, allowed: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        rule = _PathBeneath(allowed if is_folder else allowed & OF_A_FILE, descriptor)
        system_call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


ROUNDS = 400
"""How often to look for and kill remaining processes, five milliseconds apart."""


class Means(StrEnum):
    """A mechanism that the system may offer for confining a process."""

    NAMESPACES = "namespaces"
    LANDLOCK = "landlock"
    CALL_FILTER = "call_filter"
    OWN_ROOT = "own_root"
    OTHER_USER = "other_user"
    ORPHANS = "orphans"


FILES = (Means.LANDLOCK, Means.OWN_ROOT, Means.OTHER_USER)
NAMES = (Means.OWN_ROOT,)
PROCESSES = (Means.LANDLOCK, Means.NAMESPACES, Means.OTHER_USER)
NETWORK = (Means.CALL_FILTER, Means.OWN_ROOT)
LEFTOVERS = (Means.CALL_FILTER, Means.NAMESPACES, Means.ORPHANS)
"""The mechanisms that provide each protection. A named socket is a file, so it takes a private root."""


class Protections(Struct, frozen=True):
    """For each protection against a plug-in, the mechanisms that provide it here; an empty tuple means none.

    `files`: against reading or changing the bot's files. `names`: against seeing that these files exist, and their
    sizes and times. `processes`: against access to other processes' environment, memory, limits and signals. `network`:
    against sockets of any kind. `leftovers`: against processes that the plug-in starts and that outlive it, even
    outside its process group.
    """

    files: tuple[Means, ...] = ()
    names: tuple[Means, ...] = ()
    processes: tuple[Means, ...] = ()
    network: tuple[Means, ...] = ()
    leftovers: tuple[Means, ...] = ()

    @property
    def keep_keys(self) -> bool:
        """Return True if the plug-in can't reach our keys, directly or, over a socket, with the help of another
        process.
        """
        return bool(self.files and self.processes and self.network)


class Confinement(Struct, frozen=True):
    """How a plug-in is confined: the mechanisms that work here, its file access, and an empty folder for building its
    root.
    """

    means: frozenset[Means]
    reach: FileAccess
    place: Path

    @property
    def protections(self) -> Protections:
        """Return the protections that these mechanisms provide together."""
        protections = Protections(*map(self._of, (FILES, NAMES, PROCESSES, NETWORK, LEFTOVERS)))
        # With Landlock alone, a plug-in could make a file readable to all, or starve another process with limits.
        alone = protections.files == protections.processes == (Means.LANDLOCK,) and Means.CALL_FILTER not in self.means
        return replace(protections, files=(), processes=()) if alone else protections

    def _of(self, means: tuple[Means, ...]) -> tuple[Means, ...]:
        return tuple(each for each in means if each in self.means)

    @property
    def may_leave(self) -> bool:
        """Return True if nothing prevents the plug-in from starting processes that outlive its answer."""
        return Means.CALL_FILTER not in self.means

    def has_started(self, before: frozenset[int]) -> bool:
        """Return True if this process has descendants other than those in `before`."""
        return self.may_leave and not descendants() <= before

    @contextmanager
    def all_ended(self) -> Iterator[None]:
        """Kill every process that was started inside the block, even if its parent is gone."""
        if Means.NAMESPACES in self.means:
            linux_isolation.enter()
            first = linux_isolation.first_process()
            try:
                yield
            finally:
                os.kill(first, signal.SIGKILL)
                # The process is gone only once its namespace is empty, including our own children that nobody has
                # waited for.
                with suppress(ChildProcessError):
                    while os.waitpid(-1, 0):
                        pass
            return
        with suppress(OSError):
            linux_syscalls.adopt_orphans()
        try:
            yield
        finally:
            _end_children()

    def enter(self) -> None:
        """Confine this process permanently. If this raises OSError, the plug-in must not run."""
        if Means.OTHER_USER in self.means:
            _become_nobody(self.reach.own)
        if Means.OWN_ROOT in self.means:
            linux_isolation.change_root(self.reach, self.place)
        if sys.platform == "linux":
            linux_syscalls.end_with_parent(signal.SIGKILL)
            linux_syscalls.drop_capabilities()
        if Means.LANDLOCK in self.means:
            restrict_process(self.reach)
        if Means.CALL_FILTER in self.means:
            apart = Means.NAMESPACES in self.means or (Means.LANDLOCK in self.means and confines_signals())
            linux_isolation.restrict(
                files=Means.OWN_ROOT not in self.means,
                processes=Means.NAMESPACES not in self.means,
                signals=not apart,
            )


def confinement(reach: FileAccess, path: Path, private: Sequence[Path]) -> Confinement:
    """Return the mechanisms that work here; each is tried in a separate process."""

    def change_root() -> None:
        linux_isolation.enter()
        linux_isolation.change_root(reach, path)

    means = working_mechanisms(
        {
            Means.NAMESPACES: linux_isolation.enter,
            Means.LANDLOCK: lambda: restrict_process(reach),
            Means.CALL_FILTER: lambda: linux_isolation.restrict(files=True, processes=True, signals=True),
        }
    )
    # Landlock and the filter block access to our files, but their names, sizes and times can still be seen.
    if Means.NAMESPACES in means:
        means |= working_mechanisms({Means.OWN_ROOT: change_root})
    # Another user may not even be able to read the plug-in, so this is the last resort.
    if not means & {*FILES}:
        means |= working_mechanisms({Means.OTHER_USER: lambda: _try_as_nobody(reach.own, private)})
    if Means.NAMESPACES not in means:
        means |= working_mechanisms({Means.ORPHANS: linux_syscalls.adopt_orphans})
    return Confinement(frozenset(means), reach, path)


def working_mechanisms(trials: Mapping[Means, Callable[[], object]]) -> set[Means]:
    """Return the mechanisms that work, each tried in a child process because the system may kill it."""
    child = os.fork()
    if not child:
        _try_all(trials.values())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return {each for bit, each in enumerate(trials) if code & 1 << bit}
    alone = trials.items() if len(trials) > 1 else ()
    return {each for name, trial in alone for each in working_mechanisms({name: trial})}


def _try_all(trials: Iterable[Callable[[], object]]) -> NoReturn:
    done = 0
    try:
        for bit, trial in enumerate(trials):
            with suppress(OSError):
                trial()
                done |= 1 << bit
    finally:
        os._exit(done)


def _become_nobody(own: Path) -> None:
    """Become the user `nobody` and own the folder `own`; raise OSError if that isn't possible."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as missing:
        raise PermissionError("this system has no user named nobody") from missing
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    own.parent.chmod(0o711)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def _try_as_nobody(own: Path, private: Sequence[Path]) -> None:
    """Raise OSError unless we can become nobody, and nobody can read what Python needs but no private files."""
    needed = [name for name in sys.path if os.path.exists(name)]
    _become_nobody(own)
    is_open = any(os.access(path, mode) for path in private for mode in (os.R_OK, os.X_OK))
    if is_open or not all(os.access(name, os.R_OK) for name in needed):
        raise PermissionError("the user nobody can read this user's private files, or can't read Python's files")


def _end_children() -> None:
    """Kill this process's children, and their children as they become ours."""
    for _ in range(ROUNDS):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in (pid for pid, parent in _parents().items() if parent == os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def descendants() -> frozenset[int]:
    """Return this process's descendants."""
    parents, below = _parents(), set[int]()
    generation = {os.getpid()}
    while generation:
        generation = {pid for pid, parent in parents.items() if parent in generation} - below
        below |= generation
    return frozenset(below)


def _parents() -> dict[int, int]:
    """Return the parent of each process on this machine, including those that ended without being waited for."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The program's name is in parentheses and may contain anything.
            parents[int(process.parent.name)] = int(process.read_text(errors="replace").rpartition(")")[2].split()[1])
    return parents
