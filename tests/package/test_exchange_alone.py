"""The exchange's own tests need nothing of ours but the exchange, so that they go with it wherever it goes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
