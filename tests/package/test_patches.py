"""What a test replaces by name exists: else a bot that is broken on purpose would be whole, and its campaign blind."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests", "exchange/tests", "benchmarks")


class Patch(NamedTuple):
    """A name that a file replaces in something that it imports."""

    where: str
    owner: str
    name: str


def text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def patched(node: ast.AST) -> tuple[str, str] | None:
    """Return whose attribute is replaced and its name, for `vars(x)["n"]`, `setattr(x, "n", …)` and a partial of it."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
        call, name = node.value, text(node.slice)
        owner = call.args[0] if isinstance(call.func, ast.Name) and call.func.id == "vars" and call.args else None
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        about = node.args[1:] if called == "partial" and getattr(node.args[0], "id", "") == "setattr" else node.args
        if called not in {"setattr", "partial"} or len(about) < 2 or (called == "partial") is (about is node.args):
            return None
        owner, name = about[0], text(about[1])
    else:
        return None
    return (owner.id, name) if isinstance(owner, ast.Name) and name else None


def patches(path: Path) -> Iterator[Patch]:
    source = path.read_text()
    if "setattr" not in source and "vars(" not in source:
        return
    tree = ast.parse(source)
    imported = dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    for node in ast.walk(tree):
        found = patched(node)
        if found and imported.get(found[0], "").startswith(("tradebot.", "commands.", "jobs.", "papervenue.")):
            yield Patch(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", imported[found[0]], found[1])


def owner_of(name: str) -> object:
    """Return the module, or the class or function in a module, of this name."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        module, _, part = name.rpartition(".")
        return getattr(import_module(module), part)


def test_each_name_that_a_test_replaces_exists() -> None:
    files = (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if ".venv" not in path.parts)
    every = [each for path in files for each in patches(path)]
    assert len(every) > 100
    assert [each for each in every if not hasattr(owner_of(each.owner), each.name)] == []
