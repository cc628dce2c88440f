"""Load the configuration: merge its layers into one frozen object, and remember each value's source.

The layers, each overriding those before it: base.yaml, the venue's file, the mode's file, the user's file, what
learning wrote, TRADEBOT_* in the environment, and flags.
"""

import re
import reprlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import (
    ValidationError,
    ValidationInfo,
    model_validator,
)

from tradebot.adapters.state.state_folder import LEARNED
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app import settings_checks
from tradebot.app.baseline import VENUES, effective, section_of, with_earlier
from tradebot.app.settings_schema import Sections
from tradebot.app.universe import SECTION as REGISTRY
from tradebot.app.universe import (
    pinned_outside,
    require_registry,
    trade_candidates,
    with_candidates_of_earlier_versions,
    with_universe,
)
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.exits.rules import ExitRulesError
from tradebot.model.limits import Frozen
from tradebot.model.sentences import closest_names, describe_validation_error
from tradebot.model.trading import Mode
from tradebot.model.variables import NOT_SETTINGS, PREFIX
from tradebot.strategies.flow_settings import EARLIER_NAMES

SEPARATOR = "__"
ENVIRONMENT = "environment"

USER_LAYER = 2
"""The index of the user's file among the layers, if the venue has no file."""
PLANNING: Mapping[str, object] = {"purpose": "to see whether flow can be fetched in time"}
"""The purpose with which flow that can't be fetched in time is accepted."""
EMPTY_SECTIONS = frozenset({"themes", "betas"})
"""Sections that may be empty."""


CORRECT_IT = "correct it where it is set, then run the command again (config/base.yaml explains every setting)"
CORRECT_OPTION = "run the command again with another value for the option (config/base.yaml explains every setting)"
FLAG = "flag"
"""The source of a value that was typed as an option."""
OF_FLOW = ("strategies.flow.weights", "strategies.flow.min_families")
"""The settings that determine whether a flow score is sound."""


class Settings(Sections):
    """The complete configuration, with each value checked alone and against the other values."""

    @model_validator(mode="after")
    def _relations(self, info: ValidationInfo) -> "Settings":
        if problems := list(settings_checks.find_contradictions(self, flow_must_fit=info.context is not PLANNING)):
            raise ValueError("\n".join(problems))
        return self


class Loaded(Struct, frozen=True, dict=True):
    """The settings, each value's source by its dotted name, and the mode in the user's file."""

    settings: Settings
    origins: Mapping[str, str]
    file_mode: str = ""
    unread: ConfigurationError | None = None
    """Why the file and environment aren't valid settings; `settings` then has the accepted ones."""
    left_out: tuple[str, ...] = ()
    """Entries of the universe's file that can't be bought, such as indexes."""
    warnings: tuple[str, ...] = ()
    """Settings in an earlier version's format, with their replacements."""

    @property
    def count(self) -> int:
        """Return the number of settings that have a source, not counting sections."""
        return len(self.origins.keys() - {name.rpartition(".")[0] for name in self.origins} - EMPTY_SECTIONS)

    @cached_property
    def effective(self) -> dict[str, Any]:
        """Return all settings' values as a baseline stores them. Don't modify the result: it is shared by all
        callers.
        """
        return effective(self.settings)


def shipped_path(name: str) -> Path:
    """Return the path of a shipped configuration file, in the installed package or in a checkout."""
    here = Path(__file__).parents[1]
    installed = here / "config" / name
    return installed if installed.exists() else here.parent / "config" / name


def load(
    user_file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    purpose: object = None,
    *,
    verb: str | None = None,
    values: Mapping[str, object] | None = None,
    run: tuple[str, Mapping[str, object]] | None = None,
    learned: Mapping[str, object] | None = None,
) -> Loaded:
    """Merge all layers into settings.

    Raise OperatorError naming the value, its source and the nearest valid name. With the purpose PLANNING, it isn't an
    error if flow can't be fetched in time. `verb` names the shipped file with that verb's own defaults. `values`
    replace values of the user's file. `run` has the options with which a folder was created, and where they are stored.
    `learned` has values for strategies' sections; they count only if the user's file has the strategy.
    """
    base = load_yaml(shipped_path("base.yaml"), shipped=True)
    user = dict(values) if values is not None else load_yaml(user_file) if user_file else {}
    of_run, flag_values = [run] if run else [], flags or {}
    over, variables = _from_environment(environ)
    mode = _mode(base, user, over, flag_values)
    of_venue = _of_venue(base, user, over, *(layer for _, layer in of_run), flag_values)
    of_learning = [(LEARNED, _used_sections(learned, user))] if learned else []
    layers = [
        ("base.yaml", base),
        *of_venue,
        *((name, load_yaml(shipped_path(name), shipped=True)) for name in (f"{mode}.yaml", verb) if name),
        (str(user_file), user),
        *of_learning,
        (ENVIRONMENT, over),
        *((source, dict(layer)) for source, layer in of_run),
        (FLAG, dict(flag_values)),
    ]
    merged: dict[str, object] = {}
    origins: dict[str, str] = {}
    left_out: tuple[str, ...] = ()
    if any(isinstance(layer.get("universe"), str) for _, layer in layers):
        layers, left_out = with_universe(layers, shipped_path("universes"), USER_LAYER + len(of_venue))
    layers, warnings = with_candidates_of_earlier_versions(layers)
    for source, layer in layers:
        merge(merged, layer, source, origins)
    merged["mode"] = mode
    _require_registry(merged, origins)
    trade_candidates(merged, origins)
    for path in (path for path, source in origins.items() if source == ENVIRONMENT):
        origins[path] = variables.get(_dashless(path), ENVIRONMENT)
    settings = validate(merged, origins, purpose)
    warnings += pinned_outside(settings, origins)
    return Loaded(settings, origins, mode_text(user.get("mode")), left_out=left_out, warnings=warnings)


def _used_sections(learned: Mapping[str, object], user: Mapping[str, object]) -> dict[str, object]:
    used = user.get("strategies")
    return {"strategies": {name: learned[name] for name in learned if isinstance(used, dict) and used.get(name)}}


def validate(merged: Mapping[str, object], origins: Mapping[str, str], purpose: object = None) -> Settings:
    """Return settings from merged values; raise ConfigurationError naming each invalid value and its source."""
    try:
        settings = Settings.model_validate(merged, context=purpose)
        _require_sound_weights(settings, origins)
    except ValidationError as bad:
        names = any(error["loc"] for error in bad.errors())
        all_typed = all(_source(_location(error), origins) == FLAG for error in bad.errors())
        hint = CORRECT_OPTION if all_typed else CORRECT_IT
        raise ConfigurationError(_explain(bad, origins), hint, names=names) from None
    return settings


def _require_registry(merged: Mapping[str, object], origins: Mapping[str, str]) -> None:
    """Raise ConfigurationError if part of a registry is set at a venue whose shipped file has none."""
    if merged.get(REGISTRY) and REGISTRY not in _of_venue_file(str(merged["venue"])):
        venues = sorted(path.stem for path in shipped_path(VENUES).glob("*.yaml"))
        require_registry(merged, origins, [venue for venue in venues if REGISTRY in _of_venue_file(venue)])


def _require_sound_weights(settings: Settings, origins: Mapping[str, str]) -> None:
    """Raise ConfigurationError if the flow strategy's weights can't give a sound score.

    A test covers the shipped weights, so that commands that only read needn't import every component.
    """
    own = [name for name, source in origins.items() if name.startswith(OF_FLOW) and source != "base.yaml"]
    flow = settings.strategies.flow
    if flow is not None and own and (wrong := list(flow.contradictions())):
        raise ConfigurationError("\n".join(wrong), CORRECT_IT)


def accepted_settings(values: Mapping[str, object], file_mode: str, error: ConfigurationError) -> Loaded:
    """Return the accepted values as the settings in force, with the error that made this necessary.

    Raise ConfigurationError if this version can't use them.
    """
    try:
        settings = Settings.model_validate(with_earlier(values))
    except ValidationError as bad:
        message = f"{error.message}\nThe accepted configuration can't take its place: {_explain(bad, {})}"
        raise ConfigurationError(message, error.hint) from None
    return Loaded(settings, dict.fromkeys(Settings.model_fields, "accepted"), file_mode, error)


def mode_text(value: object) -> str:
    """Return a mode as the user wrote it, in lower case and truncated; empty if none was set.

    A value with a leading or trailing space isn't a valid mode; it is returned in quotes, which show the space.
    """
    text = str(value or "").lower()[:20]
    return text if text == text.strip() else repr(text)


def configured_modes(environ: Mapping[str, str], file: Path | None) -> Iterator[tuple[str, str, str]]:
    """Yield each mode that the environment or a file sets, where it is set, and the command that helps if it is
    wrong.
    """
    for name in ("TRADING_MODE", "TRADEBOT_MODE", "MODE"):
        mode = mode_text(environ.get(name))
        # Other programs use MODE too, so it counts only if it has one of our modes.
        if name != "MODE" or mode.strip("' ") in set(Mode):
            yield mode, name, f"unset {name}"
    if file:
        yield mode_text(load_yaml(file).get("mode")), f"{file} (mode:)", f"remove mode: from {file}"


def _mode(*layers: Mapping[str, object]) -> str:
    """Return the mode in the last layer that has one; it decides which mode file is read."""
    named = [layer["mode"] for layer in layers if "mode" in layer]
    value = str(named[-1]).lower()
    if value not in set(Mode):
        raise OperatorError(f"mode {value!r} is not one of {', '.join(Mode)}", "choose sandbox, paper or live")
    return value


def _of_venue(base: Mapping[str, object], *layers: Mapping[str, object]) -> list[tuple[str, dict[str, object]]]:
    """Return the shipped file of the venue that the last layer names, with what a bot there trades and how much.

    There is none for the venue of base.yaml, nor for a package's venue.
    """
    named = str(next((layer["venue"] for layer in reversed(layers) if "venue" in layer), base["venue"]))
    values = {} if named == base["venue"] else _of_venue_file(named)
    return [(f"{VENUES}/{named}.yaml", values)] if values else []


def _of_venue_file(venue: str) -> dict[str, object]:
    is_shipped = venue in {path.stem for path in shipped_path(VENUES).glob("*.yaml")}
    return load_yaml(shipped_path(VENUES) / f"{venue}.yaml", shipped=True) if is_shipped else {}


def venue_flags(venue: str, wanted: int | Sequence[str], without: Collection[str] = frozenset()) -> dict[str, object]:
    """Return settings for a smaller universe at a venue: the named symbols, or a number of symbols from its shipped
    file.

    Strategies that rank symbols rank only these, and select no more than there are. Strategies in `without` are
    switched off. The result is empty if the venue has no shipped file. Raise OperatorError if the file has fewer
    symbols than wanted.
    """
    values = _of_venue_file(venue)
    listed, strategies = values.get("universe"), values.get("strategies")
    if not isinstance(listed, list) or not isinstance(strategies, dict):
        return {}
    if isinstance(wanted, int) and wanted > len(listed):
        raise OperatorError(f"{venue} has {len(listed)} symbols, not {wanted:,}", f"--symbols {len(listed)}")
    names = listed[:wanted] if isinstance(wanted, int) else list(wanted)
    ranking = {
        name: {"ranked": [*names], "top": min(section["top"], len(names)), "min_ranked": None}
        for name, section in strategies.items()
        if section and "ranked" in section and name not in without
    }
    return {"universe": names, **({"strategies": ranking} if ranking else {})}


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """Return TRADEBOT_SECTION__KEY values as a nested mapping, and each value's source by its dotted name.

    TRADING_MODE sets the mode.
    """
    values: dict[str, object] = {}
    variables: dict[str, str] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        *sections, key = name.removeprefix(PREFIX).lower().split(SEPARATOR)
        _section(values, sections, name)[key] = _scalar(text)
        variables[_dashless(".".join((*sections, key)))] = f"{ENVIRONMENT}: {name}"
    if environ.get("TRADING_MODE"):
        values["mode"] = environ["TRADING_MODE"]
        variables["mode"] = f"{ENVIRONMENT}: TRADING_MODE"
    return values, variables


def _dashless(path: str) -> str:
    """Return a dotted name without dashes, as an environment variable has it."""
    return path.replace("-", "_")


def _section(values: dict[str, object], sections: list[str], name: str) -> dict[str, object]:
    node = values
    for section in sections:
        inner = node.setdefault(section, {})
        if not isinstance(inner, dict):
            above = f"{PREFIX}{section.upper()}"
            message = (
                f"{name} and {above} contradict each other: {name} sets one setting of the section {section},"
                f" but {above} gives the whole section a single value"
            )
            raise ConfigurationError(message, f"unset {above}")
        node = inner
    return node


def _scalar(text: str) -> object:
    """Parse an environment value: true, false, null, a list in brackets, or text, which may be a number."""
    stripped = text.strip()
    if re.fullmatch(r"\[.*\]", stripped):
        return [part.strip() for part in stripped[1:-1].split(",") if part.strip()]
    return {"true": True, "false": False, "null": None}.get(stripped, stripped)


def merge(
    into: dict[str, object],
    layer: Mapping[str, object],
    source: str = "",
    origins: dict[str, str] | None = None,
    prefix: str = "",
) -> None:
    """Merge a layer of the configuration over earlier ones; record each value's source in `origins`."""
    origins = {} if origins is None else origins
    for key, value in layer.items():
        # Environment variable names can't contain a dash, so fetch_flow there means fetch-flow here.
        name = key if key in into or key.replace("_", "-") not in into else key.replace("_", "-")
        path = f"{prefix}{name}"
        earlier = into.get(name)
        if prefix == "timetable." and isinstance(earlier, dict) and isinstance(value, str):
            # Replace only the times; the rest of the line stays.
            merge(into, {name: {"when": value}}, source, origins, prefix)
            continue
        if isinstance(value, Mapping) and (earlier is None or isinstance(earlier, dict)):
            nested: dict[str, object] = dict(earlier or {})
            merge(nested, value, source, origins, f"{path}.")
            into[name] = nested
        else:
            into[name] = value
        origins[path] = source


def _explain(bad: ValidationError, origins: Mapping[str, str]) -> str:
    return "\n".join(_sentence(error, origins) for error in bad.errors())


def _location(error: Mapping[str, object]) -> list[str]:
    return [str(part) for part in error["loc"] if part != "[key]"]  # type: ignore[attr-defined]


def _source(location: Sequence[str], origins: Mapping[str, str]) -> str:
    """Return where a value was set, or a value near it; empty if no place is known."""
    name = ".".join(location)
    around = name, ".".join(location[:-1]), *location[:1], *(key for key in origins if key.startswith(f"{name}."))
    return next((origins[key] for key in around if origins.get(key)), "")


def _sentence(error: Mapping[str, object], origins: Mapping[str, str]) -> str:
    location = _location(error)
    name, source = ".".join(location), _source(location, origins)
    if isinstance(mistakes := _cause(error), ExitRulesError):
        return "\n".join(f"{name} ({source}): {line}" for line in mistakes.args)
    if error["type"] == "extra_forbidden":
        return f"{name} ({source}): there is no such setting{_suggestion(location)}"
    if not location:
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{name} ({source}): {describe_validation_error(error)}"
    wanted, shown = describe_validation_error(error), _printable_value(error["input"])
    if error["type"] == "value_error" and (isinstance(error["input"], Mapping) or shown in wanted):
        return f"{name} ({source}): {wanted}"
    return f"{name} ({source}): {wanted}, not {shown}"


def _cause(error: Mapping[str, object]) -> object:
    """Return the exception of our own validator, or None."""
    context = error.get("ctx")
    return context.get("error") if isinstance(context, Mapping) else None


def _printable_value(value: object) -> str:
    """Return a value in a safe form: an address with a user name may contain a password too."""
    if isinstance(value, str) and "://" in value and "@" in value:
        return "an address that contains a user name or password"
    if isinstance(value, Decimal):
        return str(value)
    if value is None:
        return "null"
    # Escape non-ASCII letters, because a letter that only looks right may be the mistake.
    return reprlib.repr(value).encode("ascii", "backslashreplace").decode()


def _suggestion(location: list[str]) -> str:
    """Suggest the intended name: the same name in another section, else the nearest one in this section."""
    if hint := EARLIER_NAMES.get(".".join(location)):
        return f" any more; {hint}"
    elsewhere = [path for path in _paths(Settings) if path.rpartition(".")[2] == location[-1]]
    near = closest_names(location[-1], _keys_at(location[:-1]))
    if elsewhere:
        section = min(elsewhere, key=lambda path: path.count(".")).rpartition(".")[0]
        return f"; {location[-1]} belongs {f'under {section}' if section else 'at the top level'}"
    return f"; did you mean {near[0]}?" if near else ""


def _paths(model: type[Frozen], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every setting, sections first."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        inner = section_of(field.annotation)
        if isinstance(inner, type) and issubclass(inner, Frozen):
            yield from _paths(inner, f"{prefix}{name}.")


def _keys_at(location: list[str]) -> list[str]:
    """Return the setting names in the section of a wrong one."""
    model: object = Settings
    for part in location:
        if not (isinstance(model, type) and issubclass(model, Frozen)):
            return []
        field = model.model_fields.get(part)
        model = section_of(field.annotation) if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, Frozen) else []
