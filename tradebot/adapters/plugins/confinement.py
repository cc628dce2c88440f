"""What keeps a plug-in from our keys: each thing the system offers is tried once, and used where it works."""

import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from tradebot.adapters.plugins import kernel, landlock, namespaces, system_call_filter
from tradebot.adapters.plugins.reach import Reach

ROUNDS = 400
"""How often processes that were left running are looked for and ended, five milliseconds apart."""


class Means(StrEnum):
    """Something a system offers to confine a process with."""

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
"""By which means each is protected, where they work. A socket that has a name is a file, so a root is needed too."""


@dataclass(frozen=True, slots=True)
class Protections:
    """What holds a plug-in back, by what it would reach for; empty is nothing.

    `files`: ours to read or to change. `names`: that they are there, their sizes and times. `processes`: their
    environment, memory, limits and signals. `network`: sockets of any kind. `leftovers`: whether whatever it starts is
    ended with it, beyond its own group of processes.
    """

    files: tuple[Means, ...] = ()
    names: tuple[Means, ...] = ()
    processes: tuple[Means, ...] = ()
    network: tuple[Means, ...] = ()
    leftovers: tuple[Means, ...] = ()

    @property
    def keep_keys(self) -> bool:
        """Return True if our keys are out of reach; a socket would reach another process that hands them out."""
        return bool(self.files and self.processes and self.network)


@dataclass(frozen=True, slots=True)
class Confinement:
    """The means that work here, for one plug-in: what it may reach, and an empty folder to build a root in."""

    means: frozenset[Means]
    reach: Reach
    place: Path

    @property
    def protections(self) -> Protections:
        """Return what these means amount to."""
        found = Protections(*map(self._of, (FILES, NAMES, PROCESSES, NETWORK, LEFTOVERS)))
        # Landlock alone lets a file's mode be changed, so that anybody may read it, and a process be limited to death.
        alone = found.files == found.processes == (Means.LANDLOCK,) and Means.CALL_FILTER not in self.means
        return replace(found, files=(), processes=()) if alone else found

    def _of(self, means: tuple[Means, ...]) -> tuple[Means, ...]:
        return tuple(each for each in means if each in self.means)

    @contextmanager
    def all_ended(self) -> Iterator[None]:
        """End every process that was started meanwhile, whatever became of its parents."""
        if Means.NAMESPACES in self.means:
            namespaces.enter()
            first = namespaces.first_process()
            try:
                yield
            finally:
                os.kill(first, signal.SIGKILL)
                # It is gone only once nobody is left in its namespace, unburied children of ours included.
                with suppress(ChildProcessError):
                    while os.waitpid(-1, 0):
                        pass
            return
        with suppress(OSError):
            kernel.adopt_orphans()
        try:
            yield
        finally:
            _end_children()

    def enter(self) -> None:
        """Confine this process for good. OSError where that fails, and nothing may be run then."""
        if Means.OTHER_USER in self.means:
            _become_nobody(self.reach.own)
        if Means.OWN_ROOT in self.means:
            namespaces.change_root(self.reach, self.place)
        if sys.platform == "linux":
            kernel.end_with_parent(signal.SIGKILL)
            kernel.drop_capabilities()
        if Means.LANDLOCK in self.means:
            landlock.restrict(self.reach)
        if Means.CALL_FILTER in self.means:
            apart = Means.NAMESPACES in self.means or (Means.LANDLOCK in self.means and landlock.confines_signals())
            system_call_filter.restrict(
                files=Means.OWN_ROOT not in self.means,
                processes=Means.NAMESPACES not in self.means,
                signals=not apart,
            )


def confinement(reach: Reach, place: Path, private: Sequence[Path]) -> Confinement:
    """Return what works here, each tried once in a process that then ends."""

    def change_root() -> None:
        namespaces.enter()
        namespaces.change_root(reach, place)

    means = working(
        {
            Means.NAMESPACES: namespaces.enter,
            Means.LANDLOCK: lambda: landlock.restrict(reach),
            Means.CALL_FILTER: lambda: system_call_filter.restrict(files=True, processes=True, signals=True),
        }
    )
    # Landlock and the filter shut our files, and still let their names, sizes and times be seen.
    if Means.NAMESPACES in means:
        means |= working({Means.OWN_ROOT: change_root})
    # Another user may not even read the plug-in, so it is the last resort.
    if not means & {*FILES}:
        means |= working({Means.OTHER_USER: lambda: _try_as_nobody(reach.own, private)})
    if Means.NAMESPACES not in means:
        means |= working({Means.ORPHANS: kernel.adopt_orphans})
    return Confinement(frozenset(means), reach, place)


def working(trials: Mapping[Means, Callable[[], object]]) -> set[Means]:
    """Return which of these work, one after the other, in a child: a system may end a process for trying."""
    child = os.fork()
    if not child:
        _try_all(trials.values())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return {each for bit, each in enumerate(trials) if code & 1 << bit}
    alone = trials.items() if len(trials) > 1 else ()
    return {each for name, trial in alone for each in working({name: trial})}


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
    """Become the user `nobody`, to whom the folder `own` then belongs; OSError where one can't."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as missing:
        raise PermissionError("there is no user nobody") from missing
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    own.parent.chmod(0o711)
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def _try_as_nobody(own: Path, private: Sequence[Path]) -> None:
    """Raise OSError where nobody can't be become, can't read what Python needs, or can read what is private."""
    needed = [name for name in sys.path if os.path.exists(name)]
    _become_nobody(own)
    is_open = any(os.access(path, mode) for path in private for mode in (os.R_OK, os.X_OK))
    if is_open or not all(os.access(name, os.R_OK) for name in needed):
        raise PermissionError("its files are not apart from ours")


def _end_children() -> None:
    """End the children of this process, and theirs as they become ours."""
    for _ in range(ROUNDS):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _children() -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name of a program stands in brackets, and may hold anything.
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                yield int(stat.parent.name)
