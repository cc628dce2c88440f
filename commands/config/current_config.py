"""The configuration of the bot that is here, or of a file: what it sets, where from, and what was accepted."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from pydantic import BaseModel

from commands.config.accept import ChangedDefault, ConfigurationValue
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Report
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.marker_text import FIRST_VENUE
from tradebot.app.baseline import differences, origin_of
from tradebot.app.loading import Options, load_for, options_of_demo, user_file
from tradebot.app.settings import load
from tradebot.errors import TradebotError
from tradebot.model.trading import mode_name
from tradebot.timetable.entries import Timetable

if TYPE_CHECKING:
    from tradebot.adapters.state.state_folder import StateFolder
    from tradebot.app.settings import Loaded
    from tradebot.model.trading import Baseline, Difference


def changes_of(loaded: "Loaded") -> tuple[ChangedDefault, ...]:
    """Return each setting that differs from what is shipped for the mode and the venue."""
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
    whose = Identity(mode, loaded.settings.venue, folder.tail if folder else None)
    return Report(verb, data, render, whose=whose)


def loaded_for(
    state_dir: str | None, config: str | None, file: Path | None = None
) -> "tuple[StateFolder | None, Loaded]":
    """Return the bot's folder, None if there is none, with the configuration in force or that of a file."""
    path, options = state_folder.resolve(state_dir, os.environ), Options(state_dir, config)
    if not state_dir and not (path / state_folder.MARKER).exists():
        return None, load(file or user_file(options, path, os.environ), os.environ)
    folder = state_folder.open_state(path, os.environ)
    if file is None:
        return folder, load_for(folder, options, os.environ)
    return folder, load(file, os.environ, {"mode": folder.mode}, run=options_of_demo(folder))


def differences_of(folder: "StateFolder | None", loaded: "Loaded") -> "tuple[Difference, ...] | None":
    """Compare with the accepted configuration; None if there is no bot or its books can't be read."""
    accepted = accepted_of(folder)
    return differences(loaded.settings, accepted, loaded.origins) if accepted else None


def accepted_of(folder: "StateFolder | None") -> "Baseline | None":
    """Return the accepted configuration; None if there is no bot, or its books can't be read or hold none."""
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
        items = value.written().items()
    if isinstance(value, BaseModel):
        # A setting that may be left out, and is, has no value.
        items = [(key, item) for key, item in value if key in value.model_fields_set]
    if items is None:
        # Values with their own syntax are shown as they are written in the file.
        yield name, str(value) if isinstance(value, Struct) else value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))
