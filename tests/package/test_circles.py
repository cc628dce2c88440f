"""No file needs itself, however many others are in between, and wherever in them the import stands."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

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
