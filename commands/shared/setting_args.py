"""Parse settings typed on a command line: dotted names, and values written as in the configuration file."""

import os
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import combinations
from typing import Any

from msgspec import Struct

from commands.shared.light_helpers import clean
from tradebot.adapters.text.redaction import hide_keys
from tradebot.adapters.text.yaml_edit import value_of, with_changed_value
from tradebot.app.keys import load_secrets
from tradebot.app.settings import Settings
from tradebot.app.venues import EARLIER
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model.record import Job

OF_SYMBOLS = frozenset({"sectors", "themes", "betas"})
"""Sections whose names are symbols, in which a dot is part of the name."""
TIMETABLE = "timetable"


def path_of(key: str) -> tuple[str, ...]:
    """Return the parts of a setting's dotted name; raise OperatorError for an invalid one."""
    section, dot, symbol = key.partition(".")
    parts = (section, symbol) if dot and section in OF_SYMBOLS else tuple(key.split("."))
    if not all(parts) or not key.isprintable() or " " in key:
        raise OperatorError(f"{clean(key)[:60]!r} isn't the name of a setting", "all settings: tradebot config show")
    job = parts[1].replace("_", "-") if parts[0] == TIMETABLE and len(parts) > 1 else ""
    return (TIMETABLE, job, *parts[2:]) if job in set(Job) else parts


def assignments(typed: Sequence[str], option: str = "--set") -> Iterator[tuple[str, str]]:
    """Yield name and value of each KEY=VALUE of an option; raise OperatorError for other text."""
    for text in typed:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            message = f"{option} {clean(text)[:60]} isn't KEY=VALUE"
            raise OperatorError(message, f"{option} limits.max_open_positions=5")
        if not value.strip():
            raise OperatorError(
                f"{option} {clean(text)[:60]} has no value", f"write {clean(key)[:60]}=null to turn it off"
            )
        yield key.strip(), value.strip()


def values_of(pairs: Sequence[tuple[str, str]]) -> list[tuple[tuple[str, ...], object]]:
    """Return each setting's path with its value.

    Raises OperatorError if a setting is set twice, or is part of another one that is set too. Also raises it if a value
    isn't valid YAML or contains one of the user's keys.
    """
    _refuse_keys([typed for _, typed in pairs])
    paths = [path_of(key) for key, _ in pairs]
    for setting, other in combinations(paths, 2):
        if setting == other:
            raise OperatorError(f"{'.'.join(setting)} is set twice", "name it once")
        if other[: len(setting)] == setting or setting[: len(other)] == other:
            both = " and ".join(".".join(path) for path in (setting, other))
            raise OperatorError(f"{both} are set, and one contains the other", "name only the inner one")
    values = []
    for path, (key, typed) in zip(paths, pairs, strict=True):
        try:
            values.append((path, value_of(typed)))
        except OperatorError as bad:
            raise OperatorError(f"{clean(key)[:60]}: {bad.message}", bad.hint) from None
    return values


def next_after(wrong: ConfigurationError, values: Sequence[tuple[tuple[str, ...], object]], together: str) -> str:
    """Return the next step after settings were refused.

    If the settings exist, but conflict with others, `together` is a command that changes several settings at once.
    """
    sections = dict.fromkeys(path[0] for path, _ in values if path[0] in Settings.model_fields)
    shown = f"tradebot config show {next(iter(sections), '')}".rstrip()
    if wrong.names:
        return f"{shown} lists the available settings, with their values"
    return f"also change the other settings that the error names, in one command: {together}; {shown} lists the values"


def _refuse_keys(typed: Sequence[str]) -> None:
    """Raise OperatorError if a value is one of the person's keys: settings are stored in files that anyone may see."""
    load_secrets(os.environ, None, EARLIER)
    if any(hide_keys(value) != value for value in typed):
        raise OperatorError(
            "that is one of your keys: nothing was written", "keys belong in the environment or in .env"
        )


def with_setting_options(flags: Mapping[str, Any], values: Sequence[tuple[tuple[str, ...], object]]) -> dict[str, Any]:
    """Return a command's options with these settings; raise OperatorError if an option sets one of them too."""
    merged: dict[str, Any] = dict(flags)
    for path, value in values:
        if _is_given(flags, path):
            raise OperatorError(
                f"--set {'.'.join(path)} and another option set the same setting", "use only one of them"
            )
        merged = with_changed_value(merged, path, value)
    return merged


def _is_given(flags: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    node: Any = flags
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


LONGEST = 40
"""How many characters of a setting are shown; the JSON document has all."""


class DifferingSetting(Struct, frozen=True):
    """A setting that differs between runs: its dotted name, and its value in each run as text, or None.

    Names with the prefixes `market.`, `run.` and `version.` belong to the market, the run and the versions, and all
    others to the configuration.
    """

    name: str
    values: tuple[str | None, ...]


def leaves(name: str, value: Any) -> "Iterator[tuple[str, str]]":
    """Yield every nested value by its dotted name, as text; nothing for None."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(f"{name}.{key}" if name else str(key), inner)
    elif value is not None:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def differing_settings(variants: "Sequence[Mapping[str, str]]") -> "Iterator[DifferingSetting]":
    """Yield each setting that differs between runs."""
    names = dict.fromkeys(name for values in variants for name in values)
    for name in names:
        values = tuple(values.get(name) for values in variants)
        if len(set(map(_parse_meaning, values))) > 1:
            yield DifferingSetting(name, values)


def _parse_meaning(value: str | None) -> Decimal | str | None:
    """Return the meaning of a value: 100000 and 100000.0 are the same number."""
    try:
        number = Decimal(value or "")
    except InvalidOperation:
        return value
    return number if number.is_finite() else value


def format_setting(value: str | None) -> str:
    """Return a setting's value for a column of a screen."""
    text = clean(value if value is not None else "-")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
