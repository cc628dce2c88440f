"""`tradebot config set`: change settings in the bot's own file, after checking that the result loads."""

import os
from collections.abc import Sequence
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path
from typing import Any

from msgspec import Struct
from rich.console import Console

from commands.config.current_config import differences_of, report_of, values
from commands.shared.setting_args import next_after, values_of
from commands.shared.verb_options import Report
from tradebot.adapters.plugins.plugin import require_installed
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.adapters.state.user_files import open_for_change
from tradebot.adapters.text.yaml_edit import CannotEditError, with_value
from tradebot.adapters.text.yaml_loader import load_yaml, load_yaml_value, parse_yaml, read_text
from tradebot.app.baseline import counts_at_start, is_shipped
from tradebot.app.loading import USER_FILE, Options, load_for, user_file
from tradebot.app.settings import Loaded, Settings, load
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.gates.permission import describe_difference
from tradebot.model.sentences import format_yaml_scalar, pluralize
from tradebot.model.trading import Difference

Values = Sequence[tuple[tuple[str, ...], object]]

UNWRITTEN = "nothing was written"


class ChangedValue(Struct, frozen=True):
    """A setting by its dotted name, with the value in force before and now; None where it has no value."""

    key: str
    value_before: Any
    value: Any


class OverridingValue(Struct, frozen=True):
    """A setting that another source overrides: the value in force, and that source."""

    key: str
    value: Any
    origin: str


class SettingChanged(Struct, frozen=True):
    """The changes that `config set` made in a file or, in a dry run, would make.

    `lines` are the file's changed lines in diff format. `changes` are the settings in force that change. `looser` are
    the settings that are looser than the accepted ones; they block entries until a person accepts them.
    """

    file: str
    written: bool
    dry_run: bool
    lines: tuple[str, ...]
    changes: tuple[ChangedValue, ...]
    outranked: tuple[OverridingValue, ...]
    looser: "tuple[Difference, ...]"
    only_new_bots: bool


def run(state_dir: str | None, config: str | None, typed: Sequence[str], *, dry_run: bool) -> Report:
    """Change settings; raise OperatorError, with nothing written, if the result wouldn't load."""
    pairs = _pairs(typed)
    wanted = values_of(pairs)
    folder, file = _folder_and_file(state_dir, config)
    with open_for_change(file) as own:
        # What isn't YAML is refused by its line.
        if own.exists:
            load_yaml_value(file)
        text = read_text(own.path) if own.exists else ""
        mark = "\ufeff" if own.exists and own.content.startswith(b"\xef\xbb\xbf") else ""
        edited = _edit_file(file, text, wanted, [value for _, value in pairs])
        before, after = _before(folder, file), _after(folder, file, edited, wanted)
        if edited != text and not dry_run:
            own.replace(mark + edited)
    data = _data(file, text, edited, before, after, wanted, folder, dry_run=dry_run)
    return report_of("config-set", data, folder, after, _render)


def _pairs(typed: Sequence[str]) -> list[tuple[str, str]]:
    if len(typed) % 2:
        key, equals, value = typed[-1].partition("=")
        command = f"tradebot config set {key} {value}" if equals and value else "tradebot config set KEY VALUE"
        raise OperatorError(f"{typed[-1][:60]!r} has no value: settings are written as KEY VALUE", command)
    return list(zip(typed[::2], typed[1::2], strict=True))


def _folder_and_file(state_dir: str | None, config: str | None) -> "tuple[StateFolder | None, Path]":
    """Return the bot's folder, if there is one, and the file that its settings are written into."""
    path = state_folder.resolve(state_dir, os.environ)
    folder = state_folder.open_state(path, os.environ) if state_dir or state_folder.has_marker(path) else None
    file = user_file(Options(state_dir, config), path, os.environ)
    if file is None and folder is None:
        raise OperatorError(
            "there is no bot here, so there are no settings to change",
            "tradebot init, or name your own file: tradebot config set KEY VALUE --config mine.yaml",
        )
    return folder, file or path / USER_FILE


def _edit_file(file: Path, text: str, wanted: Values, typed: Sequence[str]) -> str:
    """Return the file's text with the wanted settings."""
    try:
        for (path, value), written in zip(wanted, typed, strict=True):
            text = with_value(text, path, value, written)
    except CannotEditError as cannot:
        raise OperatorError(
            f"{file}, line {cannot.line}: {cannot.problem}, so {UNWRITTEN}",
            "change that line yourself, then: tradebot config check",
        ) from None
    return text


def _before(folder: "StateFolder | None", file: Path) -> "Loaded | None":
    """Return the settings as they are; None if they aren't valid, which the change may fix."""
    with suppress(OperatorError):
        return _load_tried(folder, file, load_yaml(file) if os.path.lexists(file) and file.stat().st_size else {})
    return None


def _after(folder: "StateFolder | None", file: Path, text: str, wanted: Values) -> "Loaded":
    """Return the settings as they would be; raise OperatorError if they aren't valid."""
    tried = parse_yaml(text)
    if not isinstance(tried, dict):
        raise OperatorError(f"{file} doesn't consist of NAME: VALUE lines, so {UNWRITTEN}", "tradebot config check")
    if folder:
        _refuse_another(folder, tried)
    try:
        loaded = _load_tried(folder, file, tried)
        installed_as = loaded.settings.strategies.installed_as()
        # Another strategy that isn't installed doesn't stop this change, which may be what it takes to be safe.
        require_installed({name: point for name, point in installed_as.items() if _concerns(wanted, name)})
    except ConfigurationError as bad:
        hint = next_after(bad, wanted, "KEY VALUE KEY VALUE")
        raise ConfigurationError(f"{bad.message}\n{UNWRITTEN}", hint) from None
    return loaded


def _concerns(wanted: Values, strategy: str) -> bool:
    return any(("strategies", strategy)[: len(path)] == path[:2] for path, _ in wanted)


def _refuse_another(folder: "StateFolder", tried: dict[str, object]) -> None:
    """Raise OperatorError for a change of mode or venue, which are fixed when the folder is created."""
    for name, own in (("mode", folder.mode), ("venue", folder.venue)):
        wanted = str(tried.get(name) or own)
        if wanted.lower() != own:
            raise OperatorError(
                f"{folder.path} was made for {own}, and a bot's {name} can't change: {UNWRITTEN}",
                f"make another bot: tradebot init --{name} {wanted} --state-dir NEW",
            )


def _load_tried(folder: "StateFolder | None", file: Path, tried: dict[str, object]) -> "Loaded":
    if folder is None:
        return load(file, os.environ, values=tried)
    return load_for(folder, Options(str(folder.path), str(file)), os.environ, values=tried)


def _data(
    file: Path,
    text: str,
    edited: str,
    before: "Loaded | None",
    after: "Loaded",
    wanted: Values,
    folder: "StateFolder | None",
    *,
    dry_run: bool,
) -> SettingChanged:
    was = {row.key: row.value for row in values(before)} if before else {}
    rows = {row.key: row for row in values(after)}
    is_now = {key: row.value for key, row in rows.items()}
    names = dict.fromkeys((*was, *is_now))
    lines = unified_diff(text.splitlines(), edited.splitlines(), str(file), str(file), lineterm="", n=1)
    return SettingChanged(
        file=str(file),
        written=edited != text and not dry_run,
        dry_run=dry_run,
        lines=tuple(lines),
        changes=tuple(
            ChangedValue(key, was.get(key), is_now.get(key)) for key in names if was.get(key) != is_now.get(key)
        )
        if before
        else (),
        outranked=tuple(
            OverridingValue(key, row.value, row.origin)
            for key, row in rows.items()
            if _under(key, wanted) and row.origin not in (str(file), "flag") and not _is_shipped_origin(row.origin)
        ),
        looser=tuple(row for row in differences_of(folder, after) or () if row.looser),
        only_new_bots=folder is not None and all(path[0] == "sandbox" for path, _ in wanted),
    )


def _under(key: str, wanted: Values) -> bool:
    return any(f"{key}.".startswith(f"{'.'.join(path)}.") for path, _ in wanted)


def _is_shipped_origin(origin: str) -> bool:
    return is_shipped(origin) or origin == "built in"


def _render(console: "Console", data: SettingChanged) -> None:
    for line in data.lines[2:]:
        color = {"+": "green", "-": "red"}.get(line[:1], "dim")
        console.print(line, style=color, markup=False)
    if not data.lines:
        console.print(f"{data.file} already has these values, so there is nothing to write", markup=False)
    else:
        done = "Nothing was written (--dry-run); this would be written to" if data.dry_run else "Written to"
        console.print(f"{done} {data.file}", markup=False)
    for change in data.changes:
        console.print(
            f"  {change.key}: {format_yaml_scalar(change.value_before)} before, {format_yaml_scalar(change.value)} now",
            markup=False,
        )
    for row in data.outranked:
        console.print(
            f"  {row.key} stays {format_yaml_scalar(row.value)}, because {row.origin} overrides the file",
            markup=False,
        )
    if data.only_new_bots and data.changes:
        console.print(
            "  The change applies only to new markets: the next demo uses it, but this bot's market stays as it is."
        )
    if data.looser:
        console.print(
            f"{pluralize(len(data.looser), 'setting is', 'settings are')} looser than accepted, so entries are blocked:"
        )
        for difference in data.looser:
            console.print(f"  {describe_difference(difference)}", markup=False)
        console.print("Next: tradebot config accept, or set it back", markup=False)
    elif data.changes and not data.dry_run:
        console.print(f"  {_when_used(data)}", style="dim", markup=False)


def _when_used(data: SettingChanged) -> str:
    """Describe when a running `serve` uses the changes."""
    late = [change.key for change in data.changes if counts_at_start(Settings, change.key)]
    restarted = f"A running serve uses the new {', '.join(late)} only after a restart"
    if len(late) == len(data.changes):
        return f"{restarted}; a reload isn't enough."
    reloaded = "after a reload (kill -HUP)."
    return f"{restarted}, and the others {reloaded}" if late else f"A running serve uses the change {reloaded}"
