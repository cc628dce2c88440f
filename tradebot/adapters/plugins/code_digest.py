"""Identify a strategy's code by the content of its files and the versions of its imports.

The files of a plug-in's own package are hashed, as are the files that its section declares, and any module imported
from outside Python's folders of installed packages. Installed packages, including their dependencies, are identified by
their versions. Built-in strategies are hashed by their syntax trees (`code_tree`), so that moving code or rewording
comments doesn't end a promotion.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from errno import EIO
from functools import cache
from hashlib import file_digest, sha256
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, packages_distributions
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct, field

import tradebot
from tradebot.adapters.plugins import code_tree
from tradebot.adapters.plugins.file_access import PACKAGE_FOLDERS
from tradebot.adapters.state.state_folder import MARKER, write_durably
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.extras import DISTRIBUTION

OURS = frozenset({"tradebot", "commands", "jobs", "papervenue"})
"""This program's own packages. A plug-in may import them; their files don't count as its code."""
OF_BUILT_INS = ("strategies", "signals", "learning", "adapters/models", "legacy")
"""The folders of this package with the code of built-in strategies."""
BUILT_IN = "built-in strategies"
"""One name for all modules of the built-in strategies, which count together."""
CHARACTERS = 12
"""The length of a recorded digest."""
REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ON_RECORD: Mapping[str, str] = MappingProxyType({
    "2610db7e34cd": "b46e759fc69f",
    "5ebdb32db815": "b46e759fc69f",
    "0e234c93c6aa": "b46e759fc69f",
    "5c6401618604": "b46e759fc69f",
    "42fbb2fd58ac": "b46e759fc69f",
    "9567c50003b7": "b46e759fc69f",
    "a13371ba5a6c": "b46e759fc69f",
    "fff172ecd15b": "b46e759fc69f",
    "691a2efc1d98": "b46e759fc69f",
    "80c79862c26f": "b46e759fc69f",
    "7c6f1889b825": "b46e759fc69f",
    "686f982de6ba": "b46e759fc69f",
    "cd9e3aa38bdc": "b46e759fc69f",
    "f5c7ee317f29": "b46e759fc69f",
    "0b32dee35cfc": "b46e759fc69f",
    "b58104568eb0": "b46e759fc69f",
    "48d89f8d760e": "b46e759fc69f",
    "88d8a8e375a2": "b46e759fc69f",
    "39a7fe32fbf8": "b46e759fc69f",
    "6912f5a428de": "b46e759fc69f",
    "aff489bad02b": "b46e759fc69f",
    "c35895666654": "b46e759fc69f",
    "5eed75afca2c": "b46e759fc69f",
    "b6d9278d9ef8": "b46e759fc69f",
    "c5f9586fcb33": "b46e759fc69f",
    "563f030dab94": "b46e759fc69f",
    "ee067627672f": "b46e759fc69f",
    "837743afa5e6": "b46e759fc69f",
    "0710704b2a5a": "b46e759fc69f",
    "865e99665803": "b46e759fc69f",
    "575a9b8eef48": "b46e759fc69f",
})  # fmt: skip
"""The digest that stands in promotions, passes and backtests, by that of code that behaves identically, bit for bit.

`tests/adapters/plugins/test_code_digest_on_record.py` explains when a row is needed, and proves that the current code
has the right one.
"""


class StrategyCode(Struct, frozen=True):
    """Everything that determines a strategy's answers, apart from its settings and its view.

    `files` has the SHA-256 of each file by its path in the package, or by its declared path. `versions` has the
    versions of installed packages. `entry_point` names the class in these files; it is empty for built-in strategies.
    """

    files: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)
    entry_point: str = ""

    @classmethod
    def stored(cls, code: Mapping[str, Any]) -> "StrategyCode":
        """Return the code that a backtest's result has; one from before entry points counted has none."""
        return cls(code["files"], code["versions"], code.get("entry_point", ""))

    @property
    def digest(self) -> str:
        """Return the digest that identifies this code, wherever it is installed."""
        digest = self.own_digest
        return ON_RECORD.get(digest, digest)

    @property
    def own_digest(self) -> str:
        """Return the digest of exactly this code, even if equivalent code is on record under another digest."""
        parts: list[object] = [sorted(self.files.items()), sorted(self.versions.items())]
        parts += [self.entry_point] if self.entry_point else []
        # A file's name needn't be UTF-8.
        return sha256(json_text(parts).encode(errors="surrogateescape")).hexdigest()[:CHARACTERS]


class FileVersion(NamedTuple):
    """A file as it is on disk: its inode, and when its content or its inode last changed, in nanoseconds."""

    path: str
    inode: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileVersion":
        """Return a file's present version; raise OSError if there is no such file."""
        status = path.stat()
        return cls(str(path), status.st_ino, status.st_ctime_ns)


def code_of(point: EntryPoint, declared: Sequence[Path] = ()) -> StrategyCode:
    """Return the code of a plug-in with these declared files, without running it.

    Raises OSError if a file can't be read.
    """
    return read_code(point, declared)[0]


def read_code(point: EntryPoint, declared: Sequence[Path] = ()) -> tuple[StrategyCode, frozenset[FileVersion]]:
    """Return the same code as `code_of`, and the versions of its files.

    A file that was replaced and then put back has a new version. Raises OSError if a file can't be read.
    """
    files, versions, read = dict[str, str](), dict[str, str](), set[FileVersion]()
    own = point.module.partition(".")[0]
    waiting, modules = [own], {own} | OURS | sys.stdlib_module_names
    while waiting:
        name = waiting.pop()
        places = [*_places(name)]
        if name != own and any(folder in path.parts for path in places for folder in PACKAGE_FOLDERS):
            with _unreadable_metadata(name):
                _add_versions(versions, _providers(name))
            continue
        for path, shown in _sources(places):
            files[shown] = _hash(path)
            read.add(FileVersion.of(path))
            new = _imported_packages(path) - modules
            modules |= new
            waiting += sorted(new)
    if point.dist is not None:
        with _unreadable_metadata(own):
            _add_versions(versions, _required_distributions(point.dist))
    # The order of declared files is part of the strategy's settings; their paths aren't.
    files |= {f"{index} {path.name}": _hash(path) for index, path in enumerate(declared, 1)}
    return StrategyCode(files, versions, point.value), frozenset(read.union(map(FileVersion.of, declared)))


@cache
def built_in_code() -> StrategyCode:
    """Return the code of the built-in strategies, as it was at the first call in this process."""
    root = Path(tradebot.__file__).parent
    sources = list(_sources([root / name for name in OF_BUILT_INS]))
    others = {
        shown: _hash(path)
        for path, shown in sources
        if path.suffix not in (".py", ".pyc") and not path.name.startswith(".")
    }
    return StrategyCode(
        {BUILT_IN: _remembered_tree(root, [path for path, _ in sources if path.suffix == ".py"]), **others}
    )


def _remembered_tree(root: Path, files: Sequence[Path]) -> str:
    """Return the tree digest of these modules.

    Computing it takes as long as a pass, so it is cached beside Python's bytecode until a byte changes.
    """
    contents = [(str(path.relative_to(root)), _hash(path)) for path in (*files, Path(code_tree.__file__))]
    key = sha256(json_text(contents).encode()).hexdigest()
    cache = Path(cache_from_source(code_tree.__file__)).with_suffix(".digest")
    with suppress(OSError, ValueError):
        words, tree = cache.read_text(encoding="utf-8").split()
        if words == key:
            return tree
    tree = code_tree.tree_digest(root, files)
    with suppress(OSError):
        write_durably(cache, f"{key} {tree}\n")
        # The user that runs the bot must be able to read it, like Python's cache.
        cache.chmod(0o644)
    return tree


@cache
def source_digest() -> str:
    """Return the digest of this program's own source files."""
    folder, root = Path(tradebot.__file__).parent, sha256()
    for name in sorted(map(str, folder.rglob("*.py"))):
        root.update(name.removeprefix(str(folder)).encode())
        root.update(Path(name).read_bytes())
    return root.hexdigest()[:CHARACTERS]


def _places(name: str) -> Iterator[Path]:
    """Yield the folders of a top-level package, or the file of a module; none if it isn't installed."""
    with suppress(ImportError, ValueError):
        spec = find_spec(name)
        if spec is not None:
            # A package of the standard library or a built-in module may have no file.
            origins = (spec.origin,) if spec.has_location and spec.origin else ()
            yield from map(Path, spec.submodule_search_locations or origins)


def _sources(places: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each file of packages or modules with its path inside them, in the order of `places`."""
    for index in places:
        if index.is_file():
            yield index, index.name
        for folder, folders, names in _folders_within(index):
            folders[:] = sorted(name for name in folders if _is_package(Path(folder, name)))
            for path in (Path(folder, name) for name in sorted(names)):
                if path.is_file():
                    yield path, str(Path(index.name, path.relative_to(index)))


def _folders_within(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk a folder as `os.walk` does, but each real folder once, and through links, because Python follows them."""
    walked = set[str]()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in walked:
            folders.clear()
            continue
        walked.add(real)
        yield folder, folders, names


def _is_package(folder: Path) -> bool:
    """Return False for hidden folders, Python's caches, and a bot's state, which changes."""
    if folder.name.startswith(".") or folder.name == "__pycache__":
        return False
    return not (folder / MARKER).exists() or any(folder.glob("*.py*"))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a source file imports anywhere; none if it isn't valid Python."""
    if path.suffix != ".py":
        return set()
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [name.name for node in statements if isinstance(node, ast.Import) for name in node.names]
    names += [node.module for node in statements if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in names}


def _providers(package: str) -> Iterator[Distribution]:
    """Yield the distributions that provide a top-level package; most have its name, and searching others is slow."""
    try:
        yield distribution(package)
    except PackageNotFoundError:
        for name in dict.fromkeys(packages_distributions().get(package, ())):
            with suppress(PackageNotFoundError):
                yield distribution(name)


def _required_distributions(of: Distribution) -> Iterator[Distribution]:
    """Yield the installed distributions that `of` requires, without those of its extras."""
    for line in of.requires or ():
        name = REQUIRED.match(line)
        if name and "extra ==" not in line:
            with suppress(PackageNotFoundError):
                yield distribution(name[0])


@contextmanager
def _unreadable_metadata(package: str) -> Iterator[None]:
    """Raise OSError for metadata that an interrupted installation left behind, which the library reports in many ways.

    `package` is the package whose distributions are read.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise OSError(EIO, "an installed package has no readable metadata; pip check may name it", package) from error


def _add_versions(versions: dict[str, str], distributions: Iterator[Distribution]) -> None:
    """Add the versions of distributions and of all their dependencies."""
    for dependency in distributions:
        if not (dependency.name and dependency.version):
            raise ValueError("a distribution has neither a name nor a version")
        if dependency.name not in versions and dependency.name != DISTRIBUTION:
            versions[dependency.name] = dependency.version
            _add_versions(versions, _required_distributions(dependency))


if __name__ == "__main__":
    # An installation runs this once, so that other processes needn't read all modules.
    built_in_code()
