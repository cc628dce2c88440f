"""The configuration of the current bot, or of a file: its values, their sources, and the accepted values."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from pydantic import BaseModel
from rich.markup import escape

from commands.shared.light_helpers import Identity, clean
from commands.shared.tables import Table, last_folded_column, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report, confirm_for, console
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.marker_text import FIRST_VENUE
from tradebot.app.baseline import differences, effective, origin_of
from tradebot.app.loading import Options, load_for, options_of_demo, user_file
from tradebot.app.settings import Loaded, load
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.sentences import format_yaml_scalar
from tradebot.model.trading import Baseline, Difference, mode_name
from tradebot.timetable.entries import Timetable

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.adapters.state.state_folder import StateFolder
    from tradebot.app.wiring import App


class ConfigurationValue(Struct, frozen=True):
    """One setting: its dotted name, its value and source, and the accepted value if that differs."""

    key: str
    value: Any
    origin: str
    difference: "Difference | None" = None


class ShownConfiguration(Struct, frozen=True):
    """The requested settings; `state_dir` is None if no bot was found, so the shipped settings are shown."""

    state_dir: str | None
    key: str | None
    values: tuple[ConfigurationValue, ...]


class ChangedDefault(Struct, frozen=True):
    """A setting that differs from the shipped value for the bot's mode."""

    key: str
    shipped: Any
    value: Any
    origin: str


class ConfigurationChecked(Struct, frozen=True):
    """A valid configuration: how many values it has, and which it changes; `file` is None for the one in force.

    `differences` compares it with the accepted configuration, and is None if nothing has been accepted yet. Each
    sentence in `without_effect` names a strategy's limit that has no effect, because the account's limit is tighter.
    `never_bought` are symbols of the universe without a sector, and `left_out` other entries of the universe's file,
    such as indexes. Each sentence in `given_up` names a kind of flow facts that the flow source's limits don't let the
    bot fetch as configured. `warnings` list values in the format of an earlier version, and their replacements.
    """

    file: str | None
    values: int
    changes: tuple[ChangedDefault, ...]
    differences: "tuple[Difference, ...] | None"
    without_effect: tuple[str, ...]
    never_bought: tuple[str, ...]
    left_out: tuple[str, ...]
    given_up: tuple[str, ...]
    warnings: tuple[str, ...]


class Accepted(Struct, frozen=True):
    """The accepted configuration's fingerprint; `accepted` is False if nothing had changed.

    `before` is the fingerprint that it replaced, or None if nothing had been accepted before. `at` is this machine's
    time.
    """

    accepted: bool
    differences: "tuple[Difference, ...]"
    before: str | None
    fingerprint: str
    who: str
    at: datetime


def run(app: "App", *, by: str, confirmed: str | None) -> Report:
    """Show the differences, and accept the current configuration once a person has typed the account's tail.

    This works during a halt too. Raises OperatorError: exit 2 without a confirmation, 3 with a wrong one.
    """
    before = app.ledger_view.baselines.last()
    changes = differences(app.settings, before, app.loaded.origins) if before else ()
    if before and not changes:
        return _report(app, before, (), before)
    _show(console(err=True), before, changes)
    confirm_for(app, confirmed, what="Accepting this configuration", command="tradebot config accept")
    return _report(app, before, changes, store_accepted(app, effective(app.settings), before, changes, by=by))


def store_accepted(
    app: "App", values: Mapping[str, Any], before: "Baseline | None", changes: "tuple[Difference, ...]", *, by: str
) -> "Baseline":
    """Store values in the books as the accepted configuration, and emit the event that names the changes.

    Raise OperatorError, exit 3, if another configuration than `before` has been accepted in the meantime.
    """
    with app.pass_lock("config accept"):
        if app.ledger.baselines.last() != before:
            raise OperatorError(
                "another configuration was accepted meanwhile, so this one wasn't accepted",
                "tradebot config diff",
                code=ExitCode.REFUSED,
            )
        app.ledger.baselines.approve(Baseline(values, by, app.stamp_time()))
        after = app.ledger.baselines.last()
    assert after is not None, "the approved configuration was just written"
    looser = ", ".join(difference.name for difference in changes if difference.looser)
    details = {"by": after.who, "fingerprint": after.fingerprint, "differences": str(len(changes)), "looser": looser}
    app.events.emit(EventKind.CONFIG_ACCEPTED.at(after.at, details))
    return after


def _report(app: "App", before: "Baseline | None", differences: "tuple[Difference, ...]", after: "Baseline") -> Report:
    data = Accepted(
        accepted=after is not before,
        differences=differences,
        before=before.fingerprint if before else None,
        fingerprint=after.fingerprint,
        who=clean(after.who),
        at=after.at,
    )
    return Report("config-accept", data, _render)


def _show(screen: "Console", before: "Baseline | None", differences: "tuple[Difference, ...]") -> None:
    if before is None:
        screen.print("These books have no accepted configuration yet. The one in force will be accepted.")
        screen.print("To see it: tradebot config show --origin", style="dim", markup=False)
        return
    screen.print(f"Accepted {when(before.at)} by {clean(before.who)}", markup=False)
    screen.print(table_of(differences))


def table_of(changes: "tuple[Difference, ...]") -> object:
    """Return the differences as a table, the looser ones first."""
    values = sentence("accepted", "accepted"), sentence("now", "now")
    table = Table("setting", last_folded_column("change"), *values, sentence("from", "from"))
    for row in sorted(changes, key=lambda row: not row.looser):
        was = format_yaml_scalar(row.approved) if row.known else ""
        now = format_yaml_scalar(row.now) if row.given else "removed"
        word = ("looser" if row.looser else "tighter") if row.known else "new"
        change = f"[{'red' if row.looser else 'green'}]{word}[/]"
        table.row(escape(row.name), change, escape(was), escape(now), escape(row.origin))
    return table


def _render(screen: "Console", data: Accepted) -> None:
    if not data.accepted:
        screen.print("Nothing to accept: no setting has changed since the last acceptance.")
        return
    looser = sum(difference.looser for difference in data.differences)
    tighter = len(data.differences) - looser
    changes = f": {looser} looser, {tighter} tighter" if data.before else ""
    screen.print(f"[green]Accepted[/green]: this configuration is in force from now on{changes}")
    screen.print("  a running serve keeps its old configuration until you reload it", style="dim")


def changes_of(loaded: "Loaded") -> tuple[ChangedDefault, ...]:
    """Return each setting that differs from the shipped value for the mode and the venue."""
    begun = {"mode": loaded.settings.mode.value, "venue": loaded.settings.venue}
    shipped = {row.key: row.value for row in values(load(None, {}, begun))} | {"venue": FIRST_VENUE}
    return tuple(
        ChangedDefault(row.key, shipped.get(row.key), row.value, row.origin)
        for row in values(loaded)
        if row.key not in shipped or shipped[row.key] != row.value
    )


def report_of(verb: str, data: object, folder: "StateFolder | None", loaded: "Loaded", render: Any) -> Report:
    """Return a report about a configuration, with the identity of its bot."""
    mode = mode_name(loaded.settings.mode, shadow=loaded.settings.shadow)
    bot_identity = Identity(mode, loaded.settings.venue, folder.tail if folder else None)
    return Report(verb, data, render, bot_identity=bot_identity)


def loaded_for(
    state_dir: str | None, config: str | None, file: Path | None = None
) -> "tuple[StateFolder | None, Loaded]":
    """Return the bot's folder and the configuration of a file or, without one, the configuration in force.

    The folder is None if there is no bot.
    """
    path, options = state_folder.resolve(state_dir, os.environ), Options(state_dir, config)
    if not state_dir and not (path / state_folder.MARKER).exists():
        return None, load(file or user_file(options, path, os.environ), os.environ)
    folder = state_folder.open_state(path, os.environ)
    if file is None:
        return folder, load_for(folder, options, os.environ)
    return folder, load(file, os.environ, {"mode": folder.mode}, run=options_of_demo(folder))


def differences_of(folder: "StateFolder | None", loaded: "Loaded") -> "tuple[Difference, ...] | None":
    """Compare with the accepted configuration; return None if there is no bot, or no accepted one can be read."""
    accepted = accepted_of(folder)
    return differences(loaded.settings, accepted, loaded.origins) if accepted else None


def accepted_of(folder: "StateFolder | None") -> "Baseline | None":
    """Return the accepted configuration; None if there is no bot, or if its books are unreadable or contain none."""
    if folder is None:
        return None
    try:
        with closing(SqliteLedger.open(folder.path, folder.account_number, read_only=True)) as ledger:
            return ledger.baselines.last()
    except TradebotError:
        return None


def values(loaded: "Loaded") -> Iterator[ConfigurationValue]:
    """Yield every value of the settings by its dotted name, in the order of the configuration."""
    for key, value in _leaves(loaded.settings, ""):
        yield ConfigurationValue(key, value, origin_of(loaded.origins, key))


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, Mapping) else None
    if isinstance(value, Timetable):
        items = value.to_settings().items()
    if isinstance(value, BaseModel):
        # A setting that may be left out, and is, has no value.
        items = [(key, item) for key, item in value if key in value.model_fields_set]
    if items is None:
        # Values with their own syntax are shown as they are written in the file.
        yield name, str(value) if isinstance(value, Struct) else value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))
