"""Decide which files a plug-in may access: Python, the packages it can import, and its own empty folder."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.state_folder import MARKER

SYSTEM = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"),
    *("/dev/urandom", "/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
)
"""System files that programs and numeric libraries read, and that anyone may read."""
NOWHERE = "/dev/null"
PACKAGE_FOLDERS = ("site-packages", "dist-packages")


class FileAccess(Struct, frozen=True):
    """The files and folder trees that a plug-in may read, the folders whose names it may list, and its own folder."""

    read: tuple[Path, ...]
    listed: tuple[Path, ...]
    own: Path

    @property
    def write(self) -> tuple[Path, ...]:
        """Return the paths that may be written."""
        return self.own, Path(NOWHERE)


def reach_of(target: str, own: Path, private: Sequence[Path], files: Sequence[Path] = ()) -> FileAccess:
    """Return the files that the strategy with the entry point `target` may access: its `own` folder, but nothing in
    `private`.

    It may also read the `files` that its section declares.
    """
    hidden = tuple(path.resolve() for path in private)
    # Python finds nothing in folders it can't read.
    folders = [Path(name) for name in sys.path if os.path.isdir(name) and os.access(name, os.R_OK)]
    trees = [Path(name) for name in (*SYSTEM, *_python())]
    trees += [folder for folder in folders if _is_installed(folder)]
    shared = [child for folder in folders if not _is_installed(folder) for child in _importable(folder)]
    reachable = [*trees, *shared, *_package(target), *files]
    read = (part for path in reachable if os.path.exists(path) for part in _parts_not_hidden(path, hidden))
    return FileAccess(tuple(dict.fromkeys(read)), tuple(folders), own)


def why_unreadable(file: Path, private: Sequence[Path]) -> str:
    """Return why a plug-in can't read a file that its section declares; empty if it can.

    Keys and bots' state are never readable, not even through a link.
    """
    real = file.resolve()
    if not real.exists():
        return "doesn't exist"
    if not real.is_file():
        return "isn't a plain file; declare each file separately"
    hidden = [path.resolve() for path in private]
    in_state = any((folder / MARKER).exists() for folder in real.parents)
    if in_state or real.name.startswith(".env") or any(real.is_relative_to(path) for path in hidden):
        return "is hidden from plug-ins, like all keys, state folders and simulated markets"
    if real.stat().st_nlink > 1 and any(_is_same(real, path) for path in hidden):
        return "is hidden from plug-ins: it is another name for a file with keys, state or the simulated market"
    return ""


def _is_same(file: Path, private: Path) -> bool:
    """Return True if a file is a private one, or in a private folder, under another name."""
    inside = (Path(folder, name) for folder, _, names in os.walk(private) for name in names)
    return any(path.exists() and path.samefile(file) for path in (private, *inside))


def _python() -> Iterator[str]:
    """Yield the interpreter, its library and its settings; a virtual environment uses another Python's library."""
    yield from (f"{sys.base_prefix}/lib", f"{sys.base_prefix}/bin", f"{sys.prefix}/bin", f"{sys.prefix}/pyvenv.cfg")
    yield from (name for name in sys.path if os.path.isfile(name))


def _is_installed(folder: Path) -> bool:
    """Return True if a folder contains only installed packages."""
    return folder.name in PACKAGE_FOLDERS or folder.is_relative_to(Path(sys.base_prefix, "lib"))


def _importable(folder: Path) -> Iterator[Path]:
    """Yield possible packages in a project's own folder: no hidden files, sockets, or bots' state folders."""
    for child in folder.iterdir():
        is_plain = os.path.isfile(child) or (os.path.isdir(child) and not os.path.exists(child / MARKER))
        if is_plain and not child.name.startswith("."):
            yield child


def _package(target: str) -> Iterator[Path]:
    """Yield the location of a package that isn't on Python's path, as with some editable installs."""
    try:
        spec = find_spec(target.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return
    places: Iterable[str] = (spec.submodule_search_locations or filter(None, [spec.origin])) if spec else ()
    yield from map(Path, places)


def _parts_not_hidden(path: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield a path, or, if something hidden lies below it, the parts around that."""
    real = path.resolve()
    if any(real.is_relative_to(secret) for secret in hidden):
        return
    if not any(secret.is_relative_to(real) for secret in hidden):
        yield path
        return
    for child in path.iterdir():
        yield from _parts_not_hidden(child, hidden)
