"""Which files a plug-in may reach: Python, the packages it can import, and an empty folder of its own."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tradebot.adapters.state.state_folder import MARKER

SYSTEM = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"),
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"),
    *("/dev/urandom", "/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
)
"""What programs and numeric libraries read of a machine, and anybody may."""
NOWHERE = "/dev/null"
PACKAGE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Reach:
    """Trees and files to read, folders whose names may be listed, and the folder that is the plug-in's own."""

    read: tuple[Path, ...]
    listed: tuple[Path, ...]
    own: Path

    @property
    def write(self) -> tuple[Path, ...]:
        """Return what may be written."""
        return self.own, Path(NOWHERE)


def reach_of(target: str, own: Path, private: Sequence[Path]) -> Reach:
    """Return what a strategy may reach whose entry point is `target`: its `own` folder, and nothing `private`."""
    hidden = tuple(path.resolve() for path in private)
    # What can't be read holds nothing that Python would find.
    folders = [Path(name) for name in sys.path if os.path.isdir(name) and os.access(name, os.R_OK)]
    trees = [Path(name) for name in (*SYSTEM, *_python())]
    trees += [folder for folder in folders if _is_installed(folder)]
    shared = [child for folder in folders if not _is_installed(folder) for child in _importable(folder)]
    wanted = [*trees, *shared, *_package(target)]
    read = (part for path in wanted if os.path.exists(path) for part in _without(path, hidden))
    return Reach(tuple(dict.fromkeys(read)), tuple(folders), own)


def _python() -> Iterator[str]:
    """Yield where the interpreter, its library and its settings are; a virtual environment shares another's library."""
    yield from (f"{sys.base_prefix}/lib", f"{sys.base_prefix}/bin", f"{sys.prefix}/bin", f"{sys.prefix}/pyvenv.cfg")
    yield from (name for name in sys.path if os.path.isfile(name))


def _is_installed(folder: Path) -> bool:
    """Return True for a folder that holds installed packages alone."""
    return folder.name in PACKAGE_FOLDERS or folder.is_relative_to(Path(sys.base_prefix, "lib"))


def _importable(folder: Path) -> Iterator[Path]:
    """Yield what packages a project's own folder may hold: no hidden file, no socket, and no state of a bot."""
    for child in folder.iterdir():
        is_plain = os.path.isfile(child) or (os.path.isdir(child) and not os.path.exists(child / MARKER))
        if is_plain and not child.name.startswith("."):
            yield child


def _package(target: str) -> Iterator[Path]:
    """Yield where a package lies that is found by other means than the path, as some editable installs are."""
    try:
        spec = find_spec(target.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return
    places: Iterable[str] = (spec.submodule_search_locations or filter(None, [spec.origin])) if spec else ()
    yield from map(Path, places)


def _without(path: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Yield a path, or where something hidden lies below it, the parts beside that."""
    real = path.resolve()
    if any(real.is_relative_to(secret) for secret in hidden):
        return
    if not any(secret.is_relative_to(real) for secret in hidden):
        yield path
        return
    for child in path.iterdir():
        yield from _without(child, hidden)
