"""Put proposals into the text of a configuration, as far as it still loads, and list those that are looser."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from commands.config.current_config import differences_of
from commands.learn.learn_inputs import NUMBERS
from commands.shared.setting_args import path_of
from tradebot.adapters.text.yaml_edit import CannotEditError, value_of, with_value
from tradebot.adapters.text.yaml_loader import parse_yaml, read_text
from tradebot.app.loading import Options, load_for, user_file
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.lab.learn.values import Proposal
from tradebot.model.values import replace

if TYPE_CHECKING:
    from tradebot.app.settings import Loaded
    from tradebot.model.trading import Difference


class Fitted(NamedTuple):
    """A configuration with proposals: its text, all proposals, and those looser than what was accepted."""

    text: str
    proposals: tuple[Proposal, ...]
    looser: "tuple[Difference, ...]"


def fit_proposals(app: "App", config: str | None, file: Path, proposals: Sequence[Proposal]) -> Fitted:
    """Return the bot's own configuration with each proposal that it loads with, one after the other.

    One that it doesn't load with, or that something else outranks, says so and proposes no value any more. `file` is
    where the text is to be kept: files that it names are found from there.
    """
    text, loaded = own_text(app, config), app.loaded
    result = list[Proposal]()
    for one in proposals:
        if one.proposed is None:
            result.append(one)
            continue
        try:
            edited = _edited(text, one, loaded)
            tried = _loaded(app, file, edited)
        except (CannotEditError, OperatorError) as cannot:
            result.append(_without(one, str(cannot).splitlines()[0]))
            continue
        origin = tried.origins.get(one.setting or "", str(file))
        if origin != str(file):
            result.append(_without(one, f"{origin} says otherwise, and that counts before the file"))
            continue
        text, loaded = edited, tried
        result.append(one)
    looser = tuple(row for row in differences_of(app.folder, loaded) or () if row.looser)
    names = {row.name for row in looser}
    marked = (replace(one, looser=one.proposed is not None and one.setting in names) for one in result)
    return Fitted(text, tuple(marked), looser)


def own_file(app: "App", config: str | None) -> Path | None:
    """Return the person's own configuration file, if there is one."""
    return user_file(Options(str(app.folder.path), config), app.folder.path, os.environ)


def own_text(app: "App", config: str | None) -> str:
    """Return the text of the person's own configuration file; empty without one."""
    file = own_file(app, config)
    return read_text(file) if file else ""


def _without(one: Proposal, why_not: str) -> Proposal:
    return replace(one, proposed=None, why_not=f"{one.proposed} isn't proposed: {why_not}.")


def _edited(text: str, one: Proposal, loaded: "Loaded") -> str:
    """Return the text with a proposal; a number of a list of exit rules is changed in the whole list."""
    assert one.setting is not None, "a proposal without a setting has no value"
    assert one.proposed is not None
    if not one.part:
        return with_value(text, path_of(one.setting), value_of(one.proposed), one.proposed)
    listed = loaded.settings.strategies.sections()[one.strategy].exits or []
    rules = [{rule: _changed(rule, fields, one) for rule, fields in each.items()} for each in listed]
    return with_value(text, path_of(one.setting), rules)


def _changed(rule: str, fields: Mapping[str, Any], one: Proposal) -> dict[str, Any]:
    return {**fields, NUMBERS[rule]: value_of(one.proposed or "")} if rule == one.part else dict(fields)


def _loaded(app: "App", file: Path, text: str) -> "Loaded":
    """Return the settings that a text makes; raise ConfigurationError if it makes none."""
    values = parse_yaml(text)
    assert isinstance(values, dict), "an edited configuration is a mapping"
    return load_for(app.folder, Options(str(app.folder.path), str(file)), os.environ, values=values)
