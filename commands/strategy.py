"""`tradebot strategy new|list`: begin a strategy of one's own, and see which are installed, in use and well."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.plain import clean
from commands.surface import Config, Json, Report, StateDir, finish, opened
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from rich.console import Console

    from tradebot.model.decision import Decision
    from tradebot.settings import Settings

app = typer.Typer(help="Strategies: begin one of your own, list those that are installed.", no_args_is_help=True)

YAML_WORDS = frozenset({"null", "none", "true", "false"})
"""Words that a configuration file or a variable takes for no value or for a truth, or that look as if it did."""
OFF, MISSING, WELL = "off", "not installed", "ok"


@dataclass(frozen=True, slots=True)
class Written:
    """A new package: its folder, its files, and what to type next."""

    name: str
    folder: str
    files: tuple[str, ...]
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One strategy; `state` is ok, off, not installed, or the reason that refused its answer when it was asked."""

    name: str
    package: str | None
    version: str | None
    own_process: bool
    state: str
    observed: str | None


@dataclass(frozen=True, slots=True)
class Strategies:
    """What is installed or configured, by name."""

    rows: tuple[StrategyRow, ...]


def new(name: str, path: Path) -> Report:
    """Write the package. OperatorError where the name or the folder cannot serve."""
    from commands.strategy_package import package_files
    from tradebot.adapters.plugin import installed
    from tradebot.strategies.settings import STRATEGY_NAME

    if not re.fullmatch(STRATEGY_NAME, name):
        rule = "a strategy's name is lower-case letters, digits and _, at most 20, a letter first"
        raise OperatorError(f"{clean(name)[:40]!r}: {rule}", "tradebot strategy new momentum")
    if name in YAML_WORDS:
        raise OperatorError(
            f"{name}: a configuration cannot name it, the word has a meaning there", f"tradebot strategy new my_{name}"
        )
    if name in installed():
        raise OperatorError(f"a strategy named {name} is installed already", "tradebot strategy list")
    files = tuple(package_files(name))
    _write(path, {path / place: text for place, text in files})
    data = Written(name, str(path), tuple(str(place) for place, _ in files), tuple(_steps(name, path)))
    return Report("strategy-new", data, lambda console: _render_new(console, data))


def _write(folder: Path, files: Mapping[Path, str]) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise OperatorError(f"{folder} is there already, and is not empty", "name another folder: --path DIR")
        for place, text in files.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{folder} cannot be written: {error.strerror}", "name another folder: --path DIR"
        ) from error


def _steps(name: str, path: Path) -> Iterator[str]:
    python = os.path.relpath(sys.executable)
    yield f"{python} -m pip install --no-build-isolation --no-deps -e {path}"
    yield f"add to tradebot.yaml in the state folder:  strategies: {{{name}: {{}}}}"
    yield "tradebot strategy list"


def _render_new(console: "Console", data: Written) -> None:
    console.print(f"{data.folder}: the strategy {data.name}, with its test", markup=False)
    for place in data.files:
        console.print(f"  {place}", markup=False)
    console.print("Next")
    for step in data.next:
        console.print(f"  {step}", markup=False, soft_wrap=True)


def listing(settings: "Settings", mode: str | None, account: str | None) -> Report:
    """Ask each strategy in use once, on a desk without facts; exit 10 where one is missing or answers badly."""
    data = Strategies(look(settings, ask=True))
    well = all(row.state in (OFF, WELL) for row in data.rows)
    code = ExitCode.DONE if well else ExitCode.FINDINGS
    return Report("strategy-list", data, lambda console: _render_list(console, data), code, mode, account)


def look(settings: "Settings", *, ask: bool) -> tuple[StrategyRow, ...]:
    """Return what is installed or configured, by name; each in use is asked where `ask`, else taken for well."""
    from tradebot.adapters.plugin import installed

    found, wanted = installed(), settings.strategies.in_use()
    names = sorted({*found, *wanted})
    return tuple(_row(name, found.get(name), name in wanted, settings, ask=ask) for name in names)


def _row(name: str, point: "EntryPoint | None", in_use: bool, settings: "Settings", *, ask: bool) -> StrategyRow:
    from tradebot.adapters.plugin import is_built_in, package_of

    if point is None:
        return StrategyRow(name, None, None, True, MISSING, None)
    refusal = _probed(name, settings) if in_use and ask else None
    state = OFF if not in_use else str(refusal.reason) if refusal else WELL
    observed = str(refusal.observed) if refusal else None
    version = point.dist.version if point.dist else None
    return StrategyRow(name, package_of(point), version, not is_built_in(point), state, observed)


def _probed(name: str, settings: "Settings") -> "Decision | None":
    """Return why a strategy's answer to a desk without facts is refused, or None where it is not."""
    from tradebot.adapters.plugin import strategies
    from tradebot.model.decision import Decision
    from tradebot.model.desk import FlowDesk
    from tradebot.model.record import TideFacts
    from tradebot.proposals import checked
    from tradebot.wiring import bounds_of, without_keys

    asked = {name: settings.strategies.in_use()[name]}
    (strategy,) = strategies(asked, bounds_of(settings), without_keys(os.environ))
    desk = FlowDesk(datetime.now(UTC), tuple(settings.universe), {}, TideFacts())
    answer = strategy.propose(desk)
    found = answer if isinstance(answer, Decision) else checked(name, desk, answer)
    return found if isinstance(found, Decision) else None


def _render_list(console: "Console", data: Strategies) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("strategy", "package", "runs in", "state"):
        table.add_column(name)
    for row in data.rows:
        colour = {WELL: "green", OFF: "dim"}.get(row.state, "red")
        package = escape(f"{row.package} {row.version}") if row.package else "·"
        runs = "a process of its own" if row.own_process else "this process"
        table.add_row(escape(row.name), package, runs, f"[{colour}]{row.state}[/]")
    console.print(table)
    for row in data.rows:
        _render_fault(console, row)
    console.print("Next: tradebot strategy new NAME begins one of your own")


def _render_fault(console: "Console", row: StrategyRow) -> None:
    if row.state == MISSING:
        console.print(f"{row.name}: configured, and no installed package has it.", markup=False)
        console.print(f"  Next: {remedy(row)}", markup=False)
    elif row.state not in (OFF, WELL):
        console.print(f"{row.name}: {clean(row.observed or '')}", markup=False, soft_wrap=True)
        console.print(f"  Next: {remedy(row)}", markup=False, soft_wrap=True)


def remedy(row: StrategyRow) -> str:
    """Return what to do about a strategy that is not well."""
    from tradebot.model.reasons import REASONS, Reason

    if row.state == MISSING:
        return f"install its package here, or set strategies.{row.name}: null"
    return REASONS[Reason(row.state)].remedy


def _listing_of(state_dir: str | None, config: str | None) -> Report:
    """List with the bot's configuration, or with the shipped one where there is no bot yet."""
    from tradebot.adapters.state_folder import MARKER, resolve
    from tradebot.settings import load
    from tradebot.wiring import Options, user_file

    folder = resolve(state_dir, os.environ)
    if state_dir is None and not (folder / MARKER).exists():
        return listing(load(user_file(Options(None, config), folder, os.environ), os.environ).settings, None, None)
    with opened(state_dir, config) as bot:
        return listing(bot.settings, bot.mode_name, bot.account_tail)


@app.command("new", epilog="Example: tradebot strategy new momentum --path ../momentum")
def _new(
    name: Annotated[str, typer.Argument(help="Its name: lower-case letters, digits and _.")],
    path: Annotated[Path | None, typer.Option("--path", help="The folder to write [./NAME].")] = None,
    as_json: Json = False,
) -> None:
    """Write a small package with a strategy, its test and how to install it."""
    finish(new(name, path or Path(name)), as_json)


@app.command("list", epilog="Example: tradebot strategy list")
def _list(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
    """List the strategies that are installed or configured, each asked once; exit 10 where one is not well."""
    finish(_listing_of(state_dir, config), as_json)
