"""Which modules a command loads: a verb loads no other verb, and a quick one no pandas, SDK, calendar or server."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from commands.shared import listed_verbs
from tests.kit.bot.folder import made

HEAVY = {"alpaca", "exchange_calendars", "numpy", "pandas", "requests", "starlette", "tenacity", "uvicorn"}
CLI = {"click", "pydantic", "rich", "typer"}
VERBS = [*map(str.split, listed_verbs.VERBS), ["exchange"]]
READING = ("status", "why-no-orders", "positions", "orders", "fills", "events", "config show")
PROGRAM = """
import json, pathlib, sys
report, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = "tradebot"
try:
    from tradebot.__main__ import main
    sys.exit(main())
finally:
    pathlib.Path(report).write_text(json.dumps(sorted(sys.modules)))
"""

SEVERAL = """
import json, sys
from tradebot.__main__ import main
sys.argv[0] = "tradebot"
for line in json.loads(sys.argv[1]):
    code = main(line)
    print(json.dumps([line, code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""
"""Command lines one after the other in one process: what one of them loads is there from then on."""


def run(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run one command in a separate process; return how it ended and the modules it loaded."""
    report = folder / "modules.json"
    done = python(folder, PROGRAM, str(report), *arguments)
    return done, set(json.loads(report.read_text()))


def run_several(folder: Path, lines: list[list[str]]) -> tuple[str, list[tuple[list[str], int, set[str]]]]:
    """Run commands in one process; return what they print, and each with its code and the modules loaded by its end."""
    done = python(folder, SEVERAL, json.dumps(lines))
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line for line, _, _ in told] == lines
    return done.stdout, [(line, code, set(loaded)) for line, code, loaded in told]


def python(folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", *program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state")
    with made(folder / "state"):
        yield folder


def test_help_opens_no_database_and_makes_no_file(tmp_path: Path) -> None:
    _, loaded = run(tmp_path, "--help")
    assert not {"sqlite3", "tempfile"} & loaded


def test_help_of_no_verb_loads_anything_heavy(tmp_path: Path) -> None:
    printed, told = run_several(tmp_path, [[*verb, "--help"] for verb in ([], *VERBS)])
    assert [line for line, code, _ in told if code] == []
    assert [(line, HEAVY & loaded) for line, _, loaded in told if HEAVY & loaded] == []
    assert printed.count("Usage: tradebot") == len(VERBS) + 1


def test_reading_command_loads_no_subject_of_signals_but_alerts(state: Path) -> None:
    _, loaded = run(state, "status", "--state-dir", str(state / "state"))
    entries = {name for name in loaded if name.startswith("tradebot.signals.subjects.")}
    assert entries <= {"tradebot.signals.subjects.alerts"}


def test_reading_command_loads_nothing_heavy(state: Path) -> None:
    place = ["--state-dir", str(state / "state")]
    _, told = run_several(state, [[*verb.split(), *place] for verb in READING])
    # No cycle has run in this state, which why-no-orders reports as a finding.
    assert [line for line, code, _ in told if code not in {0, 10}] == []
    assert [(line, HEAVY & loaded) for line, _, loaded in told if HEAVY & loaded] == []


def test_typed_setting_is_compared_with_keys_without_loading_how_to_connect(state: Path) -> None:
    done, loaded = run(state, "why-no-orders", "--what-if", "strategies.flow.lookback_s=60", "--state-dir", "state")
    assert "No pass is recorded" in done.stderr, done.stderr
    assert not {"urllib3", "ssl", "asyncio"} & loaded


def test_help_of_the_program_loads_no_verb(state: Path) -> None:
    done, loaded = run(state, "--help")
    assert done.returncode == 0, done.stderr
    assert {name.split(".")[1] for name in loaded if name.startswith("commands.")} == {"app", "shared"}
    expected = {"tradebot.model.struct_tools", "tradebot.model.variables"}
    assert {name for name in loaded if name.startswith("tradebot.model.")} == expected


def test_word_that_is_no_verb_loads_only_the_one_that_is_proposed(state: Path) -> None:
    done, loaded = run(state, "statis")
    assert "did you mean tradebot status?" in done.stderr
    assert {name.split(".")[1] for name in loaded if name.startswith("commands.")} == {"app", "shared", "status"}


def test_a_verb_loads_no_other_verb(state: Path) -> None:
    done, loaded = run(state, "status", "--state-dir", str(state / "state"))
    assert done.returncode == 0, done.stderr
    assert {name.split(".")[1] for name in loaded if name.startswith("commands.")} == {"app", "shared", "status"}


def test_halt_acts_before_the_command_line_library_is_loaded(state: Path) -> None:
    done, loaded = run(state, "halt", "--state-dir", str(state / "state"))
    assert done.returncode == 0, done.stderr
    assert {name.partition(".")[0] for name in loaded} & (HEAVY | CLI) == set()


def test_process_of_a_plug_in_starts_with_neither_pydantic_nor_the_library_of_packages(tmp_path: Path) -> None:
    program = "import sys, tradebot.adapters.plugins.plugin_worker; print(*sys.modules)"
    loaded = set(python(tmp_path, program).stdout.split())
    assert loaded & {"tradebot.desk.want_validation", "pydantic", "importlib.metadata"} == {
        "tradebot.desk.want_validation"
    }


def test_ending_process_skips_garbage_collection(tmp_path: Path) -> None:
    program = "import gc; from tradebot.__main__ import main; main(); print(gc.get_freeze_count())"
    words = [sys.executable, "-c", program, "status", "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout.splitlines()[-1]) > 10_000


ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tradebot", "commands", "jobs", "exchange/src/papervenue")
MOST_IN_FUNCTIONS = 400
"""How many imports stand in functions, so that a verb starts sooner. It only ever falls."""


def modules() -> Mapping[str, Path]:
    found = ((path, (ROOT / package).parent) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__"): path for path, top in found
    }


@cache
def trees() -> Mapping[str, ast.Module]:
    return {name: ast.parse(path.read_text()) for name, path in modules().items()}


def in_functions(node: ast.AST, *, inside: bool = False) -> int:
    """Return how many imports stand in functions below a node."""
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    below = sum(in_functions(child, inside=inside) for child in ast.iter_child_nodes(node))
    return below + (inside and isinstance(node, ast.Import | ast.ImportFrom))


def imported(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield the modules that a file imports anywhere, but for its types only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{each.name}" for each in node.names}
            yield from inner & known.keys() or {node.module}
        yield from imported(node, known)


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [*error.args[1]]
    return []


def test_no_file_imports_itself_through_others() -> None:
    known = modules()
    graph = {name: {*imported(tree, known)} & known.keys() - {name} for name, tree in trees().items()}
    assert circle(graph) == []


def test_no_more_imports_stand_in_functions_than_before() -> None:
    assert sum(map(in_functions, trees().values())) == MOST_IN_FUNCTIONS


ITS_OWN = ("papervenue", "exchange.tests", "exchange.tests.kit", "tests.suite")
OURS = ("tradebot", "commands", "jobs", "tests", "benchmarks")


def imports_of(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_inside(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def foreign_imports(path: Path) -> list[str]:
    return [name for name in imports_of(path) if is_inside(name, OURS) and not is_inside(name, ITS_OWN)]


@pytest.mark.parametrize("room", ["exchange/tests", "exchange/tests/kit"])
def test_tests_of_the_exchange_import_nothing_else_of_ours(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert len(files) > 10
    assert {str(file.relative_to(ROOT)): found for file in files if (found := foreign_imports(file))} == {}
