"""Run the tests that a change is likely to break, in about ten CPU-seconds: `make quick`, for whoever types.

Tests that changed, that are named after what changed, or import it run whole, as far as `CAP` goes. Tests of what
imports it, one import farther away, run if they are cheap, until the run is expected to cost `ENOUGH`. Who imports whom
is read from the text of the files. What a test costs is recorded; a test that isn't is cheap. This never replaces
`make test`: seven of a hundred small mistakes are seen by whole days alone, which import nothing of what they play.
"""

import argparse
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tests.suite.costs import recorded

ROOT = Path(__file__).resolve().parents[2]
TOPS = ("tradebot", "commands", "jobs", "benchmarks", "tests", "exchange")
VENUE = "exchange/src"
CAP, ENOUGH, DEAR = 25.0, 10.0, 0.3
"""CPU-seconds of the machine for which the budgets are stated."""
SHARED = 1.0
"""How much what the tests of a file share may cost, if the file is farther away; its row is the file's own name."""
STARTING, READING, UNLISTED = 1.1, 0.03, 0.012
"""What a run costs before the first file, for each file, and for each test function that no cost is recorded of."""
ALONE = 12.0
"""Up to this cost one process runs all, since each worker has to import the product first."""
FROM = re.compile(rb"^[ \t]*from ([\w.]+) import (?:\(((?:[^)#]|#[^\n]*)*)\)|([^\n(#]*))", re.M)
IMPORT = re.compile(rb"^[ \t]*import ([^\n#]+)", re.M)
NAMED = re.compile(rb"\"((?:tradebot|papervenue|commands|jobs|benchmarks|tests)(?:\.\w+)+)[\":]")
"""A string that names a module, to import it later or to register it."""
TEST = re.compile(rb"^(?:async )?def test_", re.M)
WORD = re.compile(rb"\w+")


class File(NamedTuple):
    """What the text of a Python file says: the names that it imports, and how many test functions it has."""

    imports: frozenset[str]
    tests: int


class Plan(NamedTuple):
    """What to run: files, without the tests that are too dear; how many files had no room, and the expected cost."""

    files: tuple[str, ...]
    without: tuple[str, ...]
    left_out: int
    cost: float


def read(root: Path) -> Mapping[str, bytes]:
    """Return the text of each Python file by its path below the root."""
    found = (path for top in TOPS for path in (root / top).rglob("*.py"))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def parse(text: bytes) -> File:
    """Return what a file imports, at its top or inside functions, and names in strings, and its number of tests."""
    names = {part.split()[0].decode() for line in IMPORT.findall(text) for part in line.split(b",") if part.strip()}
    names |= {name.decode() for name in NAMED.findall(text)}
    for module, inside, beside in FROM.findall(text):
        uncommented = re.sub(rb"#[^\n]*", b"", inside or beside)
        parts = (part.strip().partition(b" ")[0] for part in uncommented.split(b","))
        names |= {f"{module.decode()}.{part.decode()}" for part in parts if WORD.fullmatch(part)}
    return File(frozenset(names), len(TEST.findall(text)))


def is_test(path: str) -> bool:
    """Return whether a path is that of a test module."""
    return (
        path.startswith(("tests/", "exchange/tests/"))
        and PurePosixPath(path).name.startswith("test_")
        and path.endswith(".py")
    )


class Graph:
    """Who imports whom among the Python files of the project."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self.texts = texts
        self.files = {path: parse(text) for path, text in texts.items()}
        self.tests = frozenset(filter(is_test, self.files))
        self.by_folder = defaultdict[str, list[str]](list)
        for path in self.files:
            self.by_folder[str(PurePosixPath(path).parent)].append(path)
        self._importers = defaultdict[str, set[str]](set)
        for path, file in self.files.items():
            for name in file.imports:
                for imported in self._modules(name):
                    self._importers[imported].add(path)

    def _modules(self, name: str) -> Iterator[str]:
        """Yield the paths that an imported name may stand for, whether they exist by now or not.

        What is imported from a module may be a module itself. Who imports a folder may import whatever is in it.
        """
        place = name.replace(".", "/")
        place = f"{VENUE}/{place}" if place.partition("/")[0] == "papervenue" else place
        outer = place.rpartition("/")[0]
        yield from (f"{place}.py", f"{place}/__init__.py", f"{outer}.py", f"{outer}/__init__.py")
        yield from self.by_folder.get(place, ())

    def importers(self, path: str) -> Collection[str]:
        """Return the files that import a Python file; of any other file, those that name it."""
        if path.endswith(".py"):
            found = self._importers.get(path, set()) - {path}
        else:
            name = PurePosixPath(path).name.encode()
            found = {other for other, text in self.texts.items() if name in text}
        if path.endswith("/__init__.py"):
            return found
        # A package may import its modules by the names of their files.
        around = f"{PurePosixPath(path).parent}/__init__.py"
        return found | ({around} if b"import_module" in self.texts.get(around, b"") else set())

    def named_after(self, path: str) -> Collection[str]:
        """Return the test modules that are named after a file, or after its folder if none is."""
        where, folder = PurePosixPath(path).parent.name, PurePosixPath(mirror(path))
        found = self._named(str(folder), PurePosixPath(path).stem)
        return found or [*self._named(str(folder), where), *self._named(str(folder.parent), where)]

    def _named(self, folder: str, name: str) -> list[str]:
        names = re.compile(rf"test_{re.escape(name)}(_\w+)?\.py")
        return [path for path in self.by_folder.get(folder, ()) if names.fullmatch(PurePosixPath(path).name)]

    def near(self, changed: Iterable[str], farthest: int = 4) -> list[set[str]]:
        """Return the test modules that are about what changed, those that are one import farther away, and so on.

        The other tests of its room count as one import away, and so does what a changed conftest.py serves.
        """
        degrees, around, seen = list[set[str]](), {*changed}, set[str]()
        rooms = {mirror(path) for path in around if not is_test(path)} - {"tests"}
        folders = tuple(f"{room}/" for room in rooms)
        for degree in range(farthest):
            importers = {importer for path in around for importer in self.importers(path)}
            found = {test for path in around for test in self.named_after(path)} | importers
            found |= around & self.files.keys() if not degree else set()
            if degree == 1:
                found |= {test for test in self.tests if test.startswith(folders)}
            degrees.append((found & self.tests) - seen)
            seen |= degrees[-1]
            around = importers
        return degrees


def mirror(path: str) -> str:
    """Return the folder where the tests of a file stand; a conftest.py serves those of its own folder."""
    parts = PurePosixPath(path).parent.parts
    if parts and parts[0] == "exchange":
        return str(PurePosixPath("exchange/tests", *parts[3 if parts[1:2] == ("src",) else 2 :]))
    if parts and parts[0] in ("tests", "tradebot"):
        parts = parts[1:]
    return str(PurePosixPath("tests", *parts))


def plan(graph: Graph, changed: Collection[str], costs: Mapping[str, float], *, cap: float, enough: float) -> Plan:
    """Return the tests to run: what is nearest to the change first, and of two as near ones the cheaper one."""
    first, *others = graph.near(changed)
    by_file = defaultdict[str, dict[str, float]](dict)
    for test, cost in costs.items():
        by_file[test.partition("::")[0]][test] = cost
    own = {*changed} | {test for path in changed for test in graph.named_after(path)}
    total, files, without, left_out = STARTING, list[str](), list[str](), 0
    for paths, most, dear in (
        (first & own, cap, cap),
        (first - own, cap, cap),
        *((found, enough, DEAR) for found in others),
    ):
        base = {path: READING + UNLISTED * graph.files[path].tests + costs.get(path, 0.0) for path in paths}
        spent = {path: base[path] + sum(cost for cost in by_file[path].values() if cost <= dear) for path in paths}
        for path in sorted(paths, key=lambda path: (spent[path], path)):
            if total + base[path] > most or costs.get(path, 0.0) > max(dear, SHARED):
                left_out += 1
                continue
            files.append(path)
            total += base[path]
            # Of a file that has no room for all of its tests, those that have room run.
            for test, cost in sorted(by_file[path].items(), key=lambda one: one[1]):
                if cost > dear or total + cost > most:
                    without.append(test)
                else:
                    total += cost
    return Plan(tuple(files), tuple(without), left_out, total)


def changed_files(root: Path) -> list[str]:
    """Return what differs from the last commit; if nothing does, what that commit changed."""
    found = _git(root, "diff", "--name-only", "HEAD") + _git(root, "ls-files", "--others", "--exclude-standard")
    return found or _git(root, "show", "--name-only", "--format=", "--first-parent", "--diff-merges=1", "HEAD")


def _git(root: Path, *words: str) -> list[str]:
    done = subprocess.run(("git", *words), cwd=root, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.splitlines()


def command(chosen: Plan) -> list[str]:
    """Return the command that runs a plan."""
    workers = () if chosen.cost < ALONE else ("-n", "2", "--dist", "loadfile")
    without = (word for test in chosen.without for word in ("--deselect", test))
    return [sys.executable, "-m", "pytest", "-q", *workers, *chosen.files, *without]


def described(changed: Sequence[str], chosen: Plan) -> str:
    """Return one line that says what runs, and what doesn't."""
    what = changed[0] if len(changed) == 1 else f"{len(changed)} changed files"
    if not chosen.files:
        return f"{what}: no test is near to it, so only make test can tell"
    left = {"dear tests": len(chosen.without), "files of importers": chosen.left_out}
    words = ", ".join(f"{count} {name}" for name, count in left.items() if count)
    words = f"; left to make test: {words}" if words else ""
    return f"{what}: {len(chosen.files)} files of tests, about {chosen.cost:.0f} CPU-s{words}"


def main(arguments: Sequence[str]) -> None:
    """Become the run of the tests that are near to what changed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("paths", nargs="*", help="what changed; by default what git says")
    parser.add_argument("--dry-run", action="store_true", help="only say what would run")
    options = parser.parse_args(arguments)
    unknown = [path for path in options.paths if not Path(path).exists()]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    changed = [Path(path).resolve().relative_to(ROOT).as_posix() for path in options.paths] or changed_files(ROOT)
    chosen = plan(Graph(read(ROOT)), changed, recorded(), cap=CAP, enough=ENOUGH)
    print(described(changed, chosen), flush=True)
    if options.dry_run:
        print(*chosen.files, sep="\n")
    elif chosen.files:
        os.chdir(ROOT)
        os.execv(sys.executable, command(chosen))


if __name__ == "__main__":
    main(sys.argv[1:])
