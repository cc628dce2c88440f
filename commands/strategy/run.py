"""Run `tradebot strategy new|list|test`: create a strategy package, list the installed ones, and try one."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from rich.markup import escape

from commands.shared.light_helpers import NOBODY, Identity, clean
from commands.shared.skipped_passes import remedy_for
from commands.shared.tables import Table, sentence
from commands.shared.verb_options import Report, identity, open_bot
from commands.strategy.package import TemplateKind, package_files, section_of
from tradebot.adapters.plugins.plugin import (
    PluginEnvironment,
    close,
    code_in_use,
    installed_strategies,
    is_built_in,
    package_of,
    protections_from,
    strategies,
)
from tradebot.adapters.state.evidence import backtested_code
from tradebot.adapters.state.state_folder import MARKER, resolve
from tradebot.app.loading import Options, user_file
from tradebot.app.plugin_surroundings import plugin_surroundings
from tradebot.app.rules import rules_of
from tradebot.app.settings import Settings, load
from tradebot.desk.want_validation import validate_wants
from tradebot.errors import ExitCode, OperatorError
from tradebot.judging.pass_health import untested_code
from tradebot.model.decision import Decision, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.sentences import pluralize
from tradebot.model.series import PriceKind
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, FeatureNeed, Needs, StrategyView
from tradebot.strategies.settings import STRATEGY_NAME

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from rich.console import Console

    from tradebot.adapters.plugins.confinement import Protections
    from tradebot.model.record import StrategyRefusal
    from tradebot.ports.strategy import Strategy

EVERY_PASS = "every entry pass"
"""The times of a strategy that sets none."""


class NeedsRow(Struct, frozen=True):
    """The inputs of a strategy: flow facts, bars and features, and whether it reads quotes, lots, trades or equity.

    `situation` is the state of the account and the session.
    """

    facts: tuple[str, ...]
    bars: "tuple[BarNeed, ...]"
    quotes: bool
    lots: bool
    equity: bool
    trades: bool
    features: "tuple[FeatureNeed, ...]" = ()
    situation: bool = False


def needs_row(needs: "Needs") -> NeedsRow:
    return NeedsRow(
        tuple(sorted(needs.facts)),
        needs.bars,
        needs.quotes,
        needs.lots,
        needs.equity,
        needs.trades,
        needs.features,
        needs.situation,
    )


def in_words(needs: NeedsRow) -> str:
    return ", ".join(_words(needs)) or "nothing but the time and its universe"


def _words(needs: NeedsRow) -> Iterator[str]:
    if needs.facts:
        yield f"flow ({', '.join(needs.facts)})"
    for bars in needs.bars:
        yield _of_bars(bars)
    for wanted in needs.features:
        optional = f", {len(wanted.optional)} of them optional" if wanted.optional else ""
        count = pluralize(len(wanted.names) + len(wanted.optional), "feature")
        yield f"{count} of {wanted.timeframe} bars{optional}"
    if needs.quotes:
        yield "quotes"
    if needs.lots:
        yield "its own positions"
    if needs.trades:
        yield "its own closed trades"
    if needs.equity:
        yield "its equity"
    if needs.situation:
        yield "the state of the account and the session"


def _of_bars(bars: "BarNeed") -> str:
    raw = "" if bars.adjusted else "raw "
    of = f" of {', '.join(bars.symbols)}" if bars.symbols else ""
    price = "" if bars.price is PriceKind.TRADE else f" by the {bars.price} price"
    least = "" if bars.least is None else f" (at least {bars.least:,})"
    return f"the last {pluralize(bars.depth, f'{raw}{bars.timeframe} bar')}{least}{of}{price}"


YAML_WORDS = frozenset({"null", "none", "true", "false"})
"""Names that a strategy can't have, because YAML reads them as null or a boolean, or a person might think that it does.
"""

OFF, MISSING, WELL = "off", "not installed", "ok"

DOORS = {
    "files": "can read or change this user's files",
    "names": "can see the names, sizes and times of this user's files",
    "processes": "can read or disturb this user's processes",
    "network": "can use the network",
    "leftovers": "can leave processes running when it ends",
}
"""What a plug-in can do if a protection is missing, by the name of that protection."""


class PackageCreated(Struct, frozen=True):
    """A new package: its folder, its files, and the next commands."""

    name: str
    folder: str
    files: tuple[str, ...]
    next: tuple[str, ...]


class StrategyCheckRow(Struct, frozen=True):
    """One strategy; `state` is ok, off, not installed, or the reason why its result was refused.

    `protections` are those that work on this machine to confine a plug-in; a built-in strategy needs none. `needs` and
    `times` are None unless the strategy is in use; `times` is empty if it runs in every entry pass. `code` is the
    digest of the code that a new process would load, or None if that can't be read. `tested` maps the digest of each
    code that was backtested in the bot's folder to the name of its last run, the newest last.
    """

    name: str
    package: str | None
    version: str | None
    own_process: bool
    state: str
    observed: str | None
    protections: "Protections | None"
    needs: NeedsRow | None
    times: str | None
    code: str | None = None
    tested: "Mapping[str, str]" = field(default_factory=dict)


class Strategies(Struct, frozen=True):
    """The installed or configured strategies, by name."""

    rows: tuple[StrategyCheckRow, ...]


def new(name: str, path: Path, kind: TemplateKind) -> Report:
    """Write the package; raise OperatorError if the name or the folder can't be used."""
    if not re.fullmatch(STRATEGY_NAME, name):
        rule = "a strategy's name has at most 20 lowercase letters, digits and _, and starts with a letter"
        raise OperatorError(f"{clean(name)[:40]!r}: {rule}", "tradebot strategy new momentum")
    if name in YAML_WORDS:
        raise OperatorError(
            f"{name} can't be a strategy's name, because it means something else in a configuration file",
            f"tradebot strategy new my_{name}",
        )
    if name in installed_strategies():
        raise OperatorError(f"a strategy named {name} is already installed", "tradebot strategy list")
    files = tuple(package_files(name, kind))
    _write(path, {path / pure_posix_path: text for pure_posix_path, text in files})
    data = PackageCreated(name, str(path), tuple(str(path) for path, _ in files), tuple(_steps(name, path, kind)))
    return Report("strategy-new", data, _render_new)


def _write(folder: Path, files: Mapping[Path, str]) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise OperatorError(f"{folder} already exists and is not empty", "name another folder: --path DIR")
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{folder} can't be written: {error.strerror}", "name another folder: --path DIR"
        ) from error


def _steps(name: str, path: Path, kind: "TemplateKind") -> Iterator[str]:
    python = os.path.relpath(sys.executable)
    yield f"{python} -m pip install --no-build-isolation --no-deps -e {path}"
    yield f"{python} -m pytest {path / 'tests'}"
    yield f"tradebot strategy test {name}"
    yield f"add to tradebot.yaml in the state folder: strategies: {{{section_of(name, kind)}}}"


def _render_new(console: "Console", data: PackageCreated) -> None:
    console.print(f"{data.folder}: the strategy {data.name}, with its test", markup=False)
    for file in data.files:
        console.print(f"  {file}", markup=False)
    console.print("Next")
    for step in data.next:
        console.print(f"  {step}", markup=False)


def listing(
    settings: "Settings", folder: Path, bot_identity: Identity, refused: "Mapping[str, StrategyRefusal]"
) -> Report:
    """List the strategies; run each one in use once, on a desk without facts.

    Exit 10 if one is missing, if its result is invalid, or if its result was refused in the last pass. `refused` has
    the refusals of that pass: a strategy that fails on real facts may still give a valid result here, without facts.
    """
    rows = look(settings, folder, ask=True)
    data = Strategies(tuple(_as_in_the_last_pass(row, refused.get(row.name)) for row in rows))
    well = all(row.state in (OFF, WELL) for row in data.rows)
    code = ExitCode.DONE if well else ExitCode.FINDINGS
    return Report("strategy-list", data, _render_list, code, bot_identity)


def _as_in_the_last_pass(row: StrategyCheckRow, refusal: "StrategyRefusal | None") -> StrategyCheckRow:
    if row.state != WELL or refusal is None:
        return row
    decision = refusal.decision
    observed = f"in the last pass of trade-once: {decision.observed}; run now, without facts, it works"
    return replace(row, state=str(decision.reason), observed=observed)


def look(settings: "Settings", folder: Path, *, ask: bool) -> tuple[StrategyCheckRow, ...]:
    """Return the installed or configured strategies by name, for the bot in `folder`.

    With `ask`, run each one in use, and test the protections against each plug-in.
    """
    installed, in_use = installed_strategies(), settings.strategies.installed_as()
    surroundings = plugin_surroundings(settings, folder, os.environ)
    names = sorted({*installed, *in_use})
    tested = backtested_code(folder)
    rows = [
        replace(
            _row(name, installed.get(in_use.get(name, name)), in_use=name in in_use),
            code=_code(name, settings),
            tested=tested.get(name, {}),
        )
        for name in names
    ]
    return tuple(_ask_row(row, settings, surroundings) if ask else row for row in rows)


def _code(name: str, settings: "Settings") -> str | None:
    """Return the digest of a strategy's present code; None if it isn't installed, or a file can't be read."""
    with suppress(OperatorError):
        own = {name: settings.strategies.in_use().get(name, {})}
        strategy_code = code_in_use(own, settings.strategies.installed_as()).get(name)
        return strategy_code.digest if strategy_code else None
    return None


def _row(name: str, point: "EntryPoint | None", *, in_use: bool) -> StrategyCheckRow:
    if point is None:
        return StrategyCheckRow(name, None, None, True, MISSING, None, None, None, None)
    version = point.dist.version if point.dist else None
    state = WELL if in_use else OFF
    return StrategyCheckRow(name, package_of(point), version, not is_built_in(point), state, None, None, None, None)


def _ask_row(row: StrategyCheckRow, settings: "Settings", surroundings: "PluginEnvironment") -> StrategyCheckRow:
    if row.state == MISSING:
        return row
    if row.own_process:
        installed_as = settings.strategies.installed_as().get(row.name, row.name)
        row = replace(row, protections=protections_from(installed_as, surroundings))
    return row if row.state == OFF else _add_declarations(row, settings, surroundings)


def _add_declarations(
    row: StrategyCheckRow, settings: "Settings", surroundings: "PluginEnvironment"
) -> StrategyCheckRow:
    """Return the row with the strategy's declarations, and why its answer without facts is refused, if it is."""
    own = rules_of(settings, settings.exits).of(row.name)
    chosen = settings.strategies
    (strategy,) = loaded = strategies({row.name: chosen.in_use()[row.name]}, surroundings, chosen.installed_as())
    try:
        row = replace(row, needs=needs_row(strategy.needs), times=own.times or strategy.times)
        refusal = _refusal(strategy, own.universe)
    finally:
        close(loaded)
    return replace(row, state=str(refusal.reason), observed=str(refusal.observed)) if refusal else row


def _refusal(strategy: "Strategy", universe: "Sequence[str]") -> "Decision | None":
    """Return why a strategy's answer without facts is refused, or None if it is valid.

    A strategy that needs bars, quotes or features sees no symbols. It may answer that it can't decide without facts.
    """
    shown = () if strategy.needs.bars or strategy.needs.quotes or strategy.needs.features else tuple(universe)
    view = StrategyView(datetime.now(UTC), shown)
    answer = strategy.propose(view)
    decision = answer if isinstance(answer, Decision) else validate_wants(view, answer)
    return decision if isinstance(decision, Decision) and decision.verdict is not Verdict.UNKNOWN else None


def _render_list(console: "Console", data: Strategies) -> None:
    table = Table("strategy", "package", "runs in", sentence("asked", "asked"), sentence("state", "state"))
    for row in data.rows:
        colour = {WELL: "green", OFF: "dim"}.get(row.state, "red")
        package = escape(f"{row.package} {row.version}") if row.package else "·"
        runs = "its own process" if row.own_process else "this process"
        state = row.state if row.state in (OFF, WELL, MISSING) else f"BROKEN: {row.state}"
        times_text = "·" if row.times is None else escape(clean(row.times)) or EVERY_PASS
        table.row(escape(row.name), package, runs, times_text, f"[{colour}]{state}[/]")
    console.print(table)
    for row in data.rows:
        if row.needs:
            console.print(f"{row.name}: needs {clean(in_words(row.needs))}", markup=False)
        _render_fault(console, row)
        if row.code and row.state != OFF:
            console.print(about_code(row), markup=False)
        if row.protections:
            console.print(f"{row.name}: {describe_confinement(row.protections)}", markup=False)
    console.print("To write your own: tradebot strategy new NAME")


def about_code(row: StrategyCheckRow) -> str:
    """Return a sentence on a strategy's code, and whether a backtest in this folder used it."""
    warning = untested_code(row.name, row.code, row.tested)
    if warning:
        return f"{clean(warning)}.\n  Next: tradebot backtest"
    played = row.tested.get(row.code or "")
    return f"{row.name} runs code {row.code}, {f'as backtest {clean(played)} did' if played else 'never tested here'}."


def _render_fault(console: "Console", row: StrategyCheckRow) -> None:
    if row.state == MISSING:
        console.print(f"{row.name}: configured, but no installed package provides it.", markup=False)
        console.print(f"  Next: {remedy(row)}", markup=False)
    elif row.state not in (OFF, WELL):
        console.print(f"{row.name}: {clean(row.observed or '')}", markup=False)
        console.print(f"  Next: {remedy(row)}", markup=False)


def describe_confinement(protections: "Protections") -> str:
    """Describe in one sentence what a plug-in can and can't access."""
    open_doors = [words for name, words in DOORS.items() if not getattr(protections, name)]
    if not open_doors:
        return "can't reach your keys, files, processes or the network, and nothing it starts outlives it."
    keys = "" if protections.keep_keys else ": your keys are NOT protected from it"
    return f"{', and '.join(open_doors)}{keys}."


def remedy(row: StrategyCheckRow) -> str:
    if row.state == MISSING:
        return f"install its package, or set strategies.{row.name}: null"
    return remedy_for(row.name, Reason(row.state))


def listing_of(state_dir: str | None, config: str | None) -> Report:
    folder = resolve(state_dir, os.environ)
    if state_dir is None and not (folder / MARKER).exists():
        settings = load(user_file(Options(None, config), folder, os.environ), os.environ).settings
        return listing(settings, folder, NOBODY, {})
    with open_bot(state_dir, config) as bot:
        cycles = bot.existing_facts.cycles(job="trade-once", last=1) if bot.existing_facts else ()
        refused = {each.strategy: each for cycle in cycles for each in cycle.refused_strategies if not each.symbol}
        return listing(bot.settings, bot.folder.path, identity(bot), refused)
