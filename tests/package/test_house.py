"""The house rules that neither the linter nor the import contracts can see."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("tradebot", "commands", "jobs", "exchange/src")
SHELL = {"adapters", "app", "lab", "venues", "__main__", "__init__"}
PURE_LAB = ("driver", "learn", "performance", "selection")
"""The folders of the lab that compute and do nothing else."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "deploy").glob("*.lock"))
FETCHED = {"__pycache__", "node_modules", ".venv"}
"""Folders of what was built or fetched, which git ignores."""
ACROSS_ROOMS = {"clients", "conformance", "deploy", "docs", "door", "faults", "package", "scenarios"}
"""Folders of tests that look at several modules together; the exchange is judged as a whole."""
ROOMS = (*CODE, "config", "exchange/tests", "tests", "docs", "deploy", "benchmarks", ".ci")

# What reads a clock, chance or the environment. Each is matched by its last part alone, so that an alias
# of the module or class does not hide it.
CLOCKS = {"now", "utcnow", "today", "environ", "getenv", "random", "monotonic", "perf_counter", "uuid1", "uuid4"}
IMPURE_MODULES = {"os", "random", "secrets", "socket", "subprocess", "time"}

INDEX_ADDRESS = re.compile(r"pypi\.org|python" r"hosted\.org|--(?:extra-)?index-url|https?://\S+/simple\b")
MACHINE_PATH = re.compile(r"/(?:work|root)/|/opt/(?:pypi|wheels)|/(?:home|Users)/[a-z]+/")
KEY_LIKE = re.compile(
    r"\b(?:PK|AK|CK|AKIA)[A-Z0-9]{16,}\b|BEGIN [A-Z ]*PRIVATE KEY"
    r"""|(?i:key|secret|token|password)\w*["']?\s*[:=]\s*["'][A-Za-z0-9/+_-]{24,}["']"""
)


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def core_modules() -> list[Path]:
    rooms = [path for path in (ROOT / "tradebot").iterdir() if path.stem not in SHELL]
    rooms += [ROOT / "tradebot" / "lab" / name for name in PURE_LAB]
    return sorted(m for room in rooms for m in ([room] if room.suffix == ".py" else room.rglob("*.py")))


LOOKED_AT: tuple[type[ast.stmt | ast.expr | ast.excepthandler], ...] = (
    *(ast.Import, ast.ImportFrom, ast.Call, ast.Attribute, ast.ExceptHandler, ast.Try),
    *(ast.FunctionDef, ast.AsyncFunctionDef),
)
"""What the rules are about."""


class Read(NamedTuple):
    """Where a module does what the rules are about, and how long its functions are."""

    worldly: list[str]
    broad: list[str]
    tries: list[str]
    lengths: dict[str, int]


@cache
def read(path: Path) -> Read:
    """Read a module once for all rules, and keep no tree of it."""
    found, place = Read([], [], [], {}), str(path.relative_to(ROOT))
    for node in ast.walk(ast.parse(path.read_text())):
        # Asking all the others takes four fifths of the time.
        if not isinstance(node, LOOKED_AT):
            continue
        where = f"{place}:{node.lineno}"
        if reads_the_world(node):
            found.worldly.append(where)
        if is_broad(node):
            found.broad.append(where)
        if isinstance(node, ast.Try):
            found.tries.append(where)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.lengths[f"{where} {node.name}"] = (node.end_lineno or node.lineno) - node.lineno + 1
    return found


def reads_the_world(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in IMPURE_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in IMPURE_MODULES or any(a.name in CLOCKS for a in node.names)
    # Our own objects may have a field `now` (a snapshot does); a clock is what is called.
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS
    return isinstance(node, ast.Attribute) and node.attr in {"environ", "random"}


def is_broad(node: ast.AST) -> bool:
    broad = {"Exception", "BaseException"}
    if isinstance(node, ast.ExceptHandler):
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        return any(c is None or (isinstance(c, ast.Name) and c.id in broad) for c in caught)
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "suppress":
        return any(isinstance(a, ast.Name) and a.id in broad for a in node.args)
    return False


def text_files() -> Iterator[Path]:
    for path in [*ROOT.iterdir(), *(p for room in ROOMS for p in (ROOT / room).rglob("*"))]:
        # `.git` is a file in a linked worktree, and `.env` is nobody's business but its owner's.
        private = path.name in {".git", ".env", "uv.lock", "pylock.toml"}
        if path.is_file() and not private and FETCHED.isdisjoint(path.parts):
            yield path


def matches(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {found.group()}"
        for path in text_files()
        for found in pattern.finditer(path.read_text(errors="replace"))
    ]


@pytest.mark.parametrize(
    "source",
    ["import time", "from os import environ", "from uuid import uuid4", "datetime.now(UTC)", "np.random.rand()"],
)
def test_the_guard_sees_each_way_to_read_the_world(source: str) -> None:
    assert any(reads_the_world(node) for node in ast.walk(ast.parse(source)))


def test_the_core_and_the_jobs_read_no_clock_no_chance_and_no_environment() -> None:
    assert [where for path in (*core_modules(), *modules("jobs")) for where in read(path).worldly] == []


def test_the_core_contract_names_every_room_of_the_core() -> None:
    contracts = {c["id"]: c for c in PYPROJECT["tool"]["importlinter"]["contracts"]}
    rooms = {p.stem for p in (ROOT / "tradebot").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    pure = {f"tradebot.lab.{room}" for room in PURE_LAB}
    assert set(contracts["core"]["source_modules"]) == {f"tradebot.{room}" for room in rooms - SHELL} | pure


STORIES = ("tradebot/cycle.py", "tradebot/desk/proposals.py")


def test_stories_have_no_try() -> None:
    stories = [path for path in core_modules() if path.relative_to(ROOT).as_posix() in STORIES]
    assert len(stories) == len(STORIES)
    assert [where for path in stories for where in read(path).tries] == []


def test_at_most_three_handlers_are_broad() -> None:
    broad = [where for path in modules(*CODE) for where in read(path).broad]
    assert len(broad) <= 3, broad


def test_no_module_has_more_than_600_lines() -> None:
    assert [str(p) for p in modules(*CODE) if len(p.read_text().splitlines()) > 600] == []


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {name: length for path in modules(*CODE) for name, length in read(path).lengths.items()}
    assert {name: n for name, n in lengths.items() if n > 60} == {}


@pytest.mark.parametrize("folder", ["config", "state"])
def test_configuration_and_state_hold_no_code(folder: str) -> None:
    assert (ROOT / folder).is_dir()
    assert list((ROOT / folder).rglob("*.py")) == []


@pytest.mark.parametrize("pattern", [INDEX_ADDRESS, MACHINE_PATH, KEY_LIKE], ids=["index", "path", "key"])
def test_no_file_holds_an_index_address_a_path_of_one_machine_or_a_key(pattern: re.Pattern[str]) -> None:
    assert matches(pattern) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (INDEX_ADDRESS, "https://py" + "pi.org"),
        (INDEX_ADDRESS, "http://mirror.example" + "/simple"),
        (MACHINE_PATH, "/home" + "/ann/tradebot"),
        (KEY_LIKE, "PK" + "A1" * 9),
        (KEY_LIKE, "api_key" + " = '" + "a1B2" * 8 + "'"),
    ],
)
def test_the_guards_see_what_they_look_for(pattern: re.Pattern[str], text: str) -> None:
    assert pattern.search(text)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.name))
def test_every_pin_of_a_lock_carries_a_hash_and_nothing_else(lock: Path) -> None:
    pins = re.sub(r"\\\n\s*", "", lock.read_text()).splitlines()
    pin = re.compile(r"[a-z0-9._-]+==\S+( ; [^;]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+")
    assert pins
    assert [line[:60] for line in pins if not pin.fullmatch(line)] == []


def test_each_lock_uses_the_versions_of_the_one_before_it() -> None:
    pins = (set(re.findall(r"^\S+==\S+", lock.read_text(), re.MULTILINE)) for lock in LOCKS)
    core, dev, docs, mutants, ray, rl = pins
    expected = ["core.lock", "dev.lock", "docs.lock", "mutants.lock", "ray.lock", "rl.lock"]
    assert [lock.name for lock in LOCKS] == expected
    assert core < dev < mutants
    # The site's environment has its own packages, and none of ours.
    names = {pin.partition("==")[0] for pin in dev}
    assert {pin for pin in docs if pin.partition("==")[0] in names} <= dev
    assert dev < ray
    assert dev < rl


def test_locks_that_name_an_index_are_ignored() -> None:
    assert {"uv.lock", "pylock.toml"} <= set((ROOT / ".gitignore").read_text().splitlines())


def module_tested_by(test: Path) -> Path | None:
    """Return the module or room that a test is named after, itself or with what it looks at added to the name."""
    place = test.relative_to(ROOT / "tests").parent
    for room in (ROOT / "tradebot" / place, ROOT / place):
        names = {path.stem for path in room.glob("*") if path.suffix == ".py" or path.is_dir()} | {room.name}
        for name in sorted(names, key=len, reverse=True):
            if test.stem == f"test_{name}" or test.stem.startswith(f"test_{name}_"):
                return room / name
    return None


def test_test_module_mirrors_the_place_and_name_of_its_module() -> None:
    rooms = [path for path in (ROOT / "tests").iterdir() if path.name not in ACROSS_ROOMS | {"suite"}]
    tests = [path for room in rooms for path in ([room] if room.is_file() else room.rglob("test_*.py"))]
    named = [p for p in tests if p.name.startswith("test_")]
    assert len(named) > 100
    assert [str(path.relative_to(ROOT)) for path in named if module_tested_by(path) is None] == []
