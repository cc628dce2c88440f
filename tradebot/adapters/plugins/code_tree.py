"""Identify code by its syntax trees, that is, by its behavior rather than its wording or location.

Docstrings, comments, module names and import lines don't affect the digest. Imported code does affect it. If the code
is in the same folders, its module's tree counts; if it is elsewhere in this program, its name counts; for everything
else, the full name counts. So a module can be renamed, but an import can't be replaced unnoticed.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

MODULE = re.compile(r"tradebot(?:\.\w+)+(:\w+)?")
"""A text that names one of our modules, perhaps with something in it, which counts."""
OURS = "tradebot"
ROUNDS = 2
"""How many levels of imports are followed: two, so that names that a module only re-exports are resolved."""


class NameOrigin(NamedTuple):
    """Where an imported name comes from: a module, and the name in that module; empty for the module itself."""

    module: str
    attribute: str


class Module(NamedTuple):
    """A module for hashing: its syntax tree without imports, the imports that it uses, and those that it re-exports.

    If a name is only re-exported, or only used in quoted types, just the name counts and not its content, unless it is
    a module.
    """

    own: str
    used: tuple[NameOrigin, ...]
    passed_on: tuple[tuple[str, NameOrigin], ...]


def tree_digest(root: Path, files: Iterable[Path]) -> str:
    """Return the digest of Python files by their trees; `root` is the folder of the package that they belong to.

    Raises OSError if a file can't be read, and SyntaxError or ValueError if it isn't Python.
    """
    modules = {_dotted_name(root, path): _module(root, path) for path in files}
    digests = {name: module.own for name, module in modules.items()}
    for _ in range(ROUNDS):
        digests = {name: _with_imports(module, digests) for name, module in modules.items()}
    return _hash(*sorted(digests[name] for name, module in modules.items() if module != EMPTY))


def _with_imports(module: Module, digests: Mapping[str, str]) -> str:
    used = (_whose(origin, digests) for origin in module.used)
    passed_on = (f"{name if origin.attribute else ''}={_whose(origin, digests)}" for name, origin in module.passed_on)
    return _hash(module.own, *used, "", *sorted(passed_on))


def _whose(origin: NameOrigin, digests: Mapping[str, str]) -> str:
    """Identify an imported name independently of this program's module names."""
    is_ours = origin.module.partition(".")[0] == OURS
    digest = digests.get(origin.module, OURS if is_ours else origin.module)
    return f"{digest}:{origin.attribute}"


def _module(root: Path, path: Path) -> Module:
    tree = ast.parse(path.read_bytes())
    nodes = list(ast.walk(tree))
    origins = dict(_imported_names(root, path, nodes))
    used = dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name) and node.id in origins)
    out = list[str]()
    _write(tree, {name: number for number, name in enumerate(used)}, out)
    passed_on = tuple((name, origin) for name, origin in origins.items() if name not in used)
    return Module(_hash(*out), tuple([origins[name] for name in used]), passed_on)


def _imported_names(root: Path, path: Path, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, NameOrigin]]:
    """Yield the names that a module imports, wherever in it, with their origins."""
    package = _dotted_name(root, path if path.name == "__init__.py" else path.with_name("__init__.py"))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, NameOrigin(name, "")
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                origin = NameOrigin(inner, "") if _is_module(root, inner) else NameOrigin(base, alias.name)
                yield alias.asname or alias.name, origin


def _is_module(root: Path, name: str) -> bool:
    path = root.parent.joinpath(*name.split("."))
    return name.startswith(f"{OURS}.") and (path.is_dir() or path.with_suffix(".py").is_file())


def _dotted_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _write(node: ast.AST, numbers: Mapping[str, int], out: list[str]) -> None:
    """Write a tree without absent fields, so that it is the same in every Python version that has these nodes."""
    out.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            value = [item for item in value if not _is_left_out(item)]
        if value is None or value == []:
            continue
        out.append(name)
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, ast.AST):
                _write(item, numbers, out)
            elif isinstance(node, ast.Name):
                out.append(f"@{numbers[item]}" if item in numbers else item)
            else:
                out.append(_plain(item))
    out.append(")")


def _is_left_out(node: object) -> bool:
    """Return True for an import line, a text that stands alone, or a block with nothing else in it."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return all(map(_is_left_out, (*node.body, *node.orelse)))
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(value: object) -> str:
    """Return a constant or name of a tree as text; of our modules' names, only the part inside the module."""
    match = MODULE.fullmatch(value) if isinstance(value, str) else None
    return repr(value) if match is None else f"{OURS}{match[1] or ''}"


def _hash(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


EMPTY = Module(_hash("Module", ")"), (), ())
"""An empty module, such as a new folder's."""
