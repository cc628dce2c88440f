"""The package that `tradebot strategy new` writes: one strategy, its test, and how to install it."""

from collections.abc import Iterator
from enum import StrEnum
from importlib import import_module
from pathlib import PurePosixPath
from string import Template


class TemplateKind(StrEnum):
    """What a new strategy reads and returns. Each kind has a module with its files."""

    FLOW = "flow"
    BARS = "bars"
    TARGET = "target"


PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

# tradebot isn't a dependency, so that installing this package never replaces it.
[project]
name = "tradebot-$dashed"
version = "0.1.0"
description = "The $name strategy for tradebot."
readme = "README.md"
requires-python = ">=3.11"

[project.entry-points."tradebot.strategies"]
$name = "tradebot_$name.strategy:$title"

[tool.hatch.build.targets.wheel]
packages = ["tradebot_$name"]
dev-mode-dirs = ["."]
"""

README = """\
# tradebot-$dashed

A strategy for tradebot. $summary
The strategy says what it needs and what it wants. The bot's gates, limits, sizes and exits do the rest.

1. Install it into tradebot's environment: `pip install --no-build-isolation --no-deps -e .`
2. Run its test: `python -m pytest tests`
3. See what it wants and what it costs: `tradebot strategy test $name`
4. Turn it on in the bot's `tradebot.yaml`: `strategies: {$section}`
   (it runs together with the built-in one; `strategies: {flow: null, $section}` runs it alone)
5. See what a pass would do: `tradebot trade-once --dry-run`

Its settings go under `strategies.$name`. Seven more keys there belong to the bot: `universe` (the symbols it looks at),
`times` (when it is asked), `allotment_fraction` (its share of the account's equity), `limits`, `exits`, `files` and
`wants`.

`wants` is the most that its targets may ask for: the largest weight of a symbol, all weights together, and in how many
symbols, such as `{symbol_fraction: 0.34, gross_fraction: 1, positions: 3}`. A limit that leaves less is then refused by
`tradebot config check`, before anything runs. An answer that asks for more is dropped.

`files` lists models and tables that the strategy reads from outside its package, such as `[~/models/$name.bin]`. It
opens them by the paths in `settings["files"]`, in that order.

Rules for a strategy:

- `needs` says what it reads: kinds of flow facts, bars, quotes, its own lots, its share of the equity. It sees nothing
  else. A symbol whose bars or quote are missing is left out of `view.universe`, and the reason is recorded.
- `times` says when it is asked, for example `every 5m from open+30m` or `first session of month at open+5m`. If it is
  empty, the strategy is asked in every entry pass.
- `propose` returns at most one want per symbol: `Open`, `Target`, `Reduce` or `Close`. A score is from -1 to 1
  (positive for a buy).
- The same view always gets the same answer. The process that it runs in may end after any answer, and what it prints
  isn't shown.
- It can read Python, the installed packages and its `files`, and write to its current folder, which is empty at first.
  It can't use the network, read your other files, or see environment variables with keys. It can use threads, but can't
  start other processes. `tradebot strategy list` says if this machine can't enforce that.
- If it breaks these rules, raises an exception, or takes longer than `plugins.timeout_s`, its wants are dropped for
  that pass. `tradebot why-no-orders` shows the recorded reason.
"""

PACKAGE = '"""The $name strategy."""\n'


def title_of(name: str) -> str:
    """Return the class name for a strategy; its suffix keeps it from hiding a name that the module imports."""
    return "".join(part.capitalize() for part in name.split("_")) + "Strategy"


WANTS = "wants: {symbol_fraction: 0.34, gross_fraction: 1, positions: 3}"
"""The limits of the template's targets."""


def section_of(name: str, kind: TemplateKind) -> str:
    """Return the configuration that turns a new strategy on; a target strategy has no exits of its own."""
    return f"{name}: {{exits: [], {WANTS}}}" if kind is TemplateKind.TARGET else f"{name}: {{}}"


def package_files(name: str, kind: TemplateKind) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield each file of a new strategy's package, relative to its folder, with its text."""
    template = import_module(f"commands.strategy.{kind}_template")
    words = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "title": title_of(name),
        "section": section_of(name, kind),
        "summary": template.SUMMARY,
    }
    places = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"tradebot_{name}/__init__.py": PACKAGE,
        f"tradebot_{name}/strategy.py": template.STRATEGY,
        f"tests/test_{name}.py": template.TEST,
    }
    for index, text in places.items():
        yield PurePosixPath(index), Template(text).substitute(words)
