"""Run `tradebot config`: show each configuration value with its source, and check whether a file would load."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.config.current_config import (
    ChangedDefault,
    ConfigurationChecked,
    ConfigurationValue,
    ShownConfiguration,
    accepted_of,
    changes_of,
    differences_of,
    loaded_for,
    report_of,
    table_of,
    values,
)
from commands.shared.light_helpers import clean
from commands.shared.tables import Table, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.adapters.plugins.plugin import require_installed
from tradebot.app.baseline import differences
from tradebot.app.flow_plan import slowed_kinds
from tradebot.app.rules import rules_of, without_sector
from tradebot.app.settings_checks import find_ineffective
from tradebot.errors import ExitCode, OperatorError
from tradebot.gates.permission import describe_difference
from tradebot.model.sentences import closest_names, format_yaml_scalar, pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Difference

STANDARD_INPUT = Path("/dev/stdin")

LONG = 12
"""A section with more values than this is shown by its size, unless it is requested by name."""


def show(state_dir: str | None, config: str | None, key: str | None, *, origin: bool, search: str = "") -> Report:
    """Return each setting with its source, or only those whose name, value or source contains each search word.

    Raise OperatorError for an unknown name.
    """
    folder, loaded = loaded_for(state_dir, config)
    differ = {row.name: row for row in differences_of(folder, loaded) or ()}
    every = [replace(row, difference=differ.get(row.key)) for row in values(loaded)]
    chosen = [row for row in every if key is None or row.key == key or row.key.startswith(f"{key}.")]
    if not chosen and key is not None:
        raise _unknown(key, every)
    matches = [row for row in chosen if _matches(row, search)]
    data = ShownConfiguration(str(folder.path) if folder else None, key, tuple(matches))
    is_condensed = key is None and not search
    return report_of(
        "config-show", data, folder, loaded,
        lambda console, _: _render(console, data, origin=origin, is_condensed=is_condensed),
    )  # fmt: skip


def _matches(row: ConfigurationValue, search: str) -> bool:
    text = f"{row.key} {format_yaml_scalar(row.value)} {_source(row)}".lower()
    return all(word in text for word in search.lower().split())


def check(state_dir: str | None, config: str | None, file: str | None) -> Report:
    """Check that the bot's configuration, or that of a file, loads; raise OperatorError if it is invalid."""

    folder, loaded = loaded_for(
        state_dir, config, None if file is None else STANDARD_INPUT if file == "-" else Path(file)
    )
    require_installed(loaded.settings.strategies.installed_as())
    without_effect = tuple(find_ineffective(loaded.settings))
    never_bought = without_sector(loaded.settings)
    differ = differences_of(folder, loaded)
    less = tuple(slowed_kinds(loaded.settings, rules_of(loaded.settings, loaded.settings.exits)))
    count, changes = sum(1 for _ in values(loaded)), changes_of(loaded)
    data = ConfigurationChecked(
        file, count, changes, differ, without_effect, never_bought, loaded.left_out, less, loaded.warnings
    )
    report = report_of("config-check", data, folder, loaded, _render_check)
    return replace(report, exit_code=ExitCode.FINDINGS) if never_bought else report


def _unknown(key: str, every: list[ConfigurationValue]) -> OperatorError:
    names = {row.key for row in every} | {row.key.rpartition(".")[0] for row in every}
    near = [name for name in sorted(names) if key and key in name] or closest_names(key, sorted(names), 3)
    meant = f"did you mean {' or '.join(near[:3])}?" if near else "all settings: tradebot config show"
    return OperatorError(f"there is no setting {clean(key)[:60]!r}", meant)


def _render(console: "Console", data: ShownConfiguration, *, origin: bool, is_condensed: bool) -> None:
    if data.state_dir is None:
        console.print(
            "There is no bot here, so these are the shipped values. To create one: tradebot init", style="dim"
        )
    sources = (sentence("from", "from"),) if origin else ()
    table = Table("name", sentence("value", "value"), *sources, header=origin)
    for key, text, source in _condense_rows(data, is_condensed=is_condensed):
        table.row(key, text, *((source,) if origin else ()))
    console.print(table if data.values else "No setting matches.")


def _condense_rows(data: ShownConfiguration, *, is_condensed: bool) -> Iterator[tuple[str, str, str]]:
    sizes: dict[str, int] = {}
    for row in data.values:
        section = row.key.rpartition(".")[0]
        sizes[section] = sizes.get(section, 0) + 1
    shown: set[str] = set()
    for row in data.values:
        section = row.key.rpartition(".")[0]
        if is_condensed and section == "sectors" and sizes[section] > LONG:
            if section not in shown:
                shown.add(section)
                yield section, f"{pluralize(sizes[section], 'name')}; see tradebot config show {section}", ""
            continue
        yield row.key, escape(format_yaml_scalar(row.value)), escape(_source(row))


def _source(row: ConfigurationValue) -> str:
    if row.difference is None:
        return row.origin
    change = "looser" if row.difference.looser else "tighter"
    accepted = (
        f"accepted as {format_yaml_scalar(row.difference.approved)}" if row.difference.known else "never accepted"
    )
    return f"{row.origin}; {change}, {accepted}"


def _render_check(console: "Console", data: ConfigurationChecked) -> None:
    what = "Configuration" if data.file is None else "Standard input" if data.file == "-" else data.file
    console.print(f"{escape(what)} is [green]valid[/green] ({pluralize(data.values, 'setting')})")
    for change in data.changes:
        value, shipped = format_yaml_scalar(change.value), format_yaml_scalar(change.shipped)
        line = f"  {change.key}: {value} (shipped {shipped}; {change.origin})"
        console.print(line, markup=False)
    if not data.changes:
        console.print("  every setting has its shipped value")
    for setting in data.without_effect:
        console.print(f"  {setting}", markup=False)
    _render_never_bought(console, data)
    for setting in (*data.given_up, *data.warnings):
        console.print(f"  {setting}", markup=False)
    if data.given_up:
        console.print("  Next: tradebot fetch-flow --plan", markup=False)
    if data.differences is None:
        return
    looser = [row for row in data.differences if row.looser]
    console.print("Looser than accepted, so entries are blocked:" if looser else "Nothing is looser than accepted.")
    for row in looser:
        console.print(f"  {describe_difference(row)}", markup=False)
    if looser:
        console.print("Next: tradebot config accept, or set it back", markup=False)


def _render_never_bought(console: "Console", data: ConfigurationChecked) -> None:
    for symbol in data.left_out:
        console.print(f"  {symbol} is left out of the universe: it can't be bought", markup=False)
    if not data.never_bought:
        return
    listed = ", ".join(data.never_bought[:LONG]) + (", …" if len(data.never_bought) > LONG else "")
    names, have = pluralize(len(data.never_bought), "symbol"), "has" if len(data.never_bought) == 1 else "have"
    console.print(f"[red]{names}[/red] of the universe {have} no sector and can never be bought: {escape(listed)}")
    example = f"sectors: {{{data.never_bought[0]}: technology}}"
    console.print(
        "Next: correct symbols that are misspelled or that the broker doesn't list; give each of the others a "
        f"sector, such as {example}",
        markup=False,
    )


class AcceptedConfiguration(Struct, frozen=True):
    """The accepted configuration: when (by this machine's clock) and by whom it was accepted.

    `differences` shows how the configuration in force differs from it now.
    """

    fingerprint: str
    at: datetime
    who: str
    differences: "tuple[Difference, ...]"


class Diff(Struct, frozen=True):
    """How the configuration in force differs from the accepted one, and from the shipped one for its mode and venue.

    `accepted` is None if nothing was accepted yet, or if there is no bot.
    """

    state_dir: str | None
    accepted: AcceptedConfiguration | None
    defaults: tuple[ChangedDefault, ...]


def run(state_dir: str | None, config: str | None) -> Report:
    """Compare the configuration in force with the accepted and the shipped one.

    Raises OperatorError if it can't be read.
    """
    folder, loaded = loaded_for(state_dir, config)
    baseline = accepted_of(folder)
    accepted = None
    if baseline is not None:
        differ = differences(loaded.settings, baseline, loaded.origins)
        accepted = AcceptedConfiguration(baseline.fingerprint, baseline.at, clean(baseline.who), differ)
    data = Diff(str(folder.path) if folder else None, accepted, changes_of(loaded))
    return report_of("config-diff", data, folder, loaded, _render_diff)


def _render_diff(console: "Console", data: Diff) -> None:
    if data.state_dir is None:
        console.print("There is no bot here, so nothing was accepted.", style="dim")
    elif data.accepted is None:
        console.print("Nothing has been accepted for these books yet. Next: tradebot config accept", markup=False)
    else:
        _render_accepted(console, data.accepted)
    if not data.defaults:
        console.print("Every setting has its shipped value.")
        return
    console.print("Different from the defaults")
    table = Table("setting", sentence("shipped", "shipped"), sentence("now", "now"), sentence("from", "from"))
    for row in data.defaults:
        table.row(
            escape(row.key),
            escape(format_yaml_scalar(row.shipped)),
            escape(format_yaml_scalar(row.value)),
            escape(row.origin),
        )
    console.print(table)


def _render_accepted(console: "Console", accepted: AcceptedConfiguration) -> None:
    where = f"what {accepted.who} accepted {when(accepted.at)}"
    if not accepted.differences:
        console.print(f"Nothing differs from {where}.", markup=False)
        return
    console.print(f"Different from {where}", markup=False)
    console.print(table_of(accepted.differences))
    if any(row.looser for row in accepted.differences):
        console.print("A looser setting blocks entries. Next: tradebot config accept, or set it back", markup=False)
