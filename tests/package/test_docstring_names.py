"""A name in backticks in a docstring exists: a renamed function or field isn't left behind in the texts about it."""

import re
from functools import cache
from itertools import chain
from pathlib import Path

from commands.shared import listed_verbs
from tests.package.test_house import ROOT, modules

FOLDERS = ("tradebot", "commands", "jobs", "exchange/src")
LONG_STRING = re.compile(r'(^[ \t]*)?"""(.*?)"""', re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([a-z_][a-z0-9_]*)`")
WORD = re.compile(r"[a-z_][a-z0-9_]*")
IMPORT = re.compile(r"^[ \t]*from ([\w.]+) import (\([^)]*|[^(\n]+)", re.MULTILINE)
VERBS = frozenset(chain.from_iterable(verb.split() for verb in listed_verbs.VERBS))
ELSEWHERE = {"json_each", "sqlite_schema", "strerror"}
ELSEWHERE |= {"close", "count", "no", "none", "plain", "secret", "slow_answer", "transmit", "venue_id"}
"""Names of SQLite and of Python, and words of protocols, scripts and files that a module only passes on."""


def docstrings(text: str) -> list[str]:
    """Return the long strings that stand alone in a line or begin one."""
    return [found[2] for found in LONG_STRING.finditer(text) if found[1] is not None]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the lowercase words of a module's code and of the strings in it, without its docstrings."""
    code = LONG_STRING.sub(lambda found: found[0] if found[1] is None else "", path.read_text())
    return frozenset(WORD.findall(code))


@cache
def paths() -> dict[str, Path]:
    """Return the file of each module by its dotted name."""
    files = {path.relative_to(ROOT).with_suffix(""): path for path in modules(*FOLDERS)}
    return {".".join(name.parts).removeprefix("exchange.src.").removesuffix(".__init__"): files[name] for name in files}


def imported_by(text: str) -> frozenset[str]:
    """Return the words of the modules that a module imports."""
    found = (
        name
        for package, names in IMPORT.findall(text)
        for name in (package, *(f"{package}.{each}" for each in re.findall(r"\w+", names)))
    )
    return frozenset().union(*(names_in(paths()[name]) for name in found if name in paths()))


def test_name_in_backticks_exists() -> None:
    of_files = {part for name in paths() for part in name.split(".")}
    left = list[str]()
    for path in modules(*FOLDERS):
        text = path.read_text()
        quoted = set(chain.from_iterable(map(QUOTED.findall, docstrings(text))))
        missing = quoted - names_in(path) - of_files - VERBS - ELSEWHERE
        left += [f"{path.relative_to(ROOT)}: {name}" for name in missing and missing - imported_by(text)]
    assert not left
