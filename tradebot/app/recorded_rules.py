"""The rules of a recorded pass: its settings, and the configuration accepted at that time."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from tradebot.adapters.text.yaml_edit import with_changed_value
from tradebot.app.baseline import plain, with_earlier
from tradebot.app.rules import in_force
from tradebot.app.settings import Settings, validate
from tradebot.model.trading import Baseline
from tradebot.ports.world import Rules
from tradebot.replaying.passes import RecordEnvironment
from tradebot.replaying.record_writer import RecordError

Changes = Sequence[tuple[tuple[str, ...], object]]
NOBODY, LONG_AGO = "", datetime(2000, 1, 1, tzinfo=UTC)


def settings_of(around: RecordEnvironment) -> Settings:
    """Return the settings of a record; raise RecordError if this program can't use them."""
    try:
        return Settings.model_validate(with_earlier(_values(around.settings)))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RecordError(f"its setting {name} isn't one that this program can use: {first['msg']}") from error


def rules_of_record(around: RecordEnvironment) -> Rules:
    """Return the rules that a recorded pass decided by; raise RecordError if this program can't make them."""
    return in_force(settings_of(around), accepted_of(around), around.discovered)


def accepted_of(around: RecordEnvironment) -> Baseline | None:
    """Return what was accepted of a record's settings; None if nothing was."""
    return Baseline(_values(around.accepted), NOBODY, LONG_AGO) if around.accepted else None


class Put(NamedTuple):
    """Changed settings and the rules that follow from them."""

    settings: Settings
    rules: Rules


def with_settings(around: RecordEnvironment, values: Changes, origin: str) -> Put:
    """Return a record's settings in which some have other values, as if a person had accepted these.

    `values` are the settings' paths with their values, and `origin` is where they come from, for messages. Raises
    ConfigurationError if such settings wouldn't load, and RecordError if those of the record can't be read.
    """
    settings: dict[str, Any] = dict(with_earlier(_values(around.settings)))
    approved = _values(around.accepted) if around.accepted else None
    for path, value in values:
        settings = with_changed_value(settings, path, plain(value))
        approved = approved and with_changed_value(approved, path, plain(value))
    found = validate(settings, {".".join(path): origin for path, _ in values})
    accepted = Baseline(approved, NOBODY, LONG_AGO) if approved else None
    return Put(found, in_force(found, accepted, around.discovered))


def _values(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError("its settings can't be read: they are damaged") from error
    if not isinstance(found, dict):
        raise RecordError("its settings can't be read")
    return found
