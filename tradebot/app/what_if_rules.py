"""Rebuild the rules, strategies and facts of a recorded pass, with or without changed settings.

The rules follow from the settings at the time of the pass, and from the part of these settings that was accepted.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import ValidationError

from tradebot.adapters.plugins.plugin import close, installed_strategies, strategies
from tradebot.adapters.text.yaml_edit import with_changed_value
from tradebot.app.baseline import leaves, to_json_form, with_earlier
from tradebot.app.plugin_surroundings import plugin_surroundings
from tradebot.app.rules import in_force
from tradebot.app.settings import Settings, shipped_path, validate
from tradebot.app.universe import read_universe
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.model.limits import StrategyRules
from tradebot.model.trading import Baseline
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import Rules
from tradebot.replaying.passes import RecordEnvironment
from tradebot.replaying.record_writer import RecordError
from tradebot.replaying.strategy_replay import ReplayedStrategy, Unanswered, WhatIfInputs

Changes = Sequence[tuple[tuple[str, ...], object]]

NOBODY, LONG_AGO = "", datetime(2000, 1, 1, tzinfo=UTC)


def settings_of(around: RecordEnvironment) -> Settings:
    """Rebuild the settings from a pass's record; raise RecordError if this version can't use them."""
    try:
        return Settings.model_validate(with_earlier(_values(around.settings)))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise RecordError(f"this program can't use its setting {name}: {first['msg']}") from error


def rules_of_record(around: RecordEnvironment) -> Rules:
    """Rebuild the rules of a recorded pass from its record; raise RecordError if this version can't do that."""
    return in_force(settings_of(around), accepted_of(around), around.discovered)


def accepted_of(around: RecordEnvironment) -> Baseline | None:
    """Return the accepted part of a record's settings; None if nothing was accepted."""
    return Baseline(_values(around.accepted), NOBODY, LONG_AGO) if around.accepted else None


class ChangedSettings(NamedTuple):
    """Changed settings, and the rules that follow from them."""

    settings: Settings
    rules: Rules


def with_settings(around: RecordEnvironment, values: Changes, origin: str) -> ChangedSettings:
    """Change some values of a recorded pass's settings, as if the user had accepted the changes.

    `values` has the new values by the settings' paths, and `origin` is their source, for messages. Raise
    ConfigurationError if the settings wouldn't load, and RecordError if the record's settings can't be read.
    """
    settings: dict[str, Any] = dict(with_earlier(_values(around.settings)))
    approved = _values(around.accepted) if around.accepted else None
    for path, value in values:
        settings = with_changed_value(settings, path, to_json_form(value))
        approved = approved and with_changed_value(approved, path, to_json_form(value))
    changed_settings = validate(settings, {".".join(path): origin for path, _ in values})
    accepted = Baseline(approved, NOBODY, LONG_AGO) if approved else None
    return ChangedSettings(changed_settings, in_force(changed_settings, accepted, around.discovered))


def _values(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError("its settings can't be read: they are damaged") from error
    if not isinstance(value, dict):
        raise RecordError("its settings can't be read")
    return value


WHAT_IF = "--what-if"

HELP = "tradebot why-no-orders --help"

FIXED = frozenset({"mode", "venue", "shadow"})

"""Settings that would make it another bot."""

BEFORE: Mapping[str, str] = {
    "unusual_whales": "which flow was fetched, and when, was decided before the pass",
    "news": "which headlines were fetched, and when, was decided before the pass",
    "timetable": "when passes run was decided before the pass",
    "registry": "the tier and health of each coin were computed before the pass",
    "plugins": "plug-ins had answered before the pass decided",
    "sandbox": "the market was created before the pass",
    "promotion": "how far each strategy is promoted was decided before the pass",
}

"""Why sections that were used before the pass, or before its facts were fetched, can't be changed."""

READ = frozenset({
    "universe", "sectors", "themes", "betas", "strategies", "limits", "displacement", "auction", "approval", "halts",
    "execution", "costs", "exits",
})  # fmt: skip

"""Sections that a pass's decisions depend on, directly or through strategies that run again."""

SHOCKS = frozenset({
    "max_minute_move_fraction", "max_minute_range_fraction", "max_basis_shock_fraction", "max_shocked_symbols",
    "shock_wait_s",
})  # fmt: skip

"""Limits that define a shock."""

AT_STOPS = frozenset({"max_open_risk_fraction", "max_stop_loss_usd"})

"""Limits that depend on the positions' losses at their stops."""


class RecordedRules(NamedTuple):
    """The settings that were in force in a recorded pass, and its rules."""

    settings: Settings
    rules: Rules


class WhatIfRules:
    """Builds what-if rules from records; plug-ins that it starts end with it."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder, self._environ = folder, environ
        self._then: dict[RecordEnvironment, RecordedRules] = {}
        self._made: dict[tuple[str, str], Strategy] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._closing.close()

    def then(self, around: RecordEnvironment) -> RecordedRules:
        """Return the settings and the rules that were in force in a recorded pass."""
        if around not in self._then:
            self._then[around] = RecordedRules(settings_of(around), rules_of_record(around))
        return self._then[around]

    def of(self, around: RecordEnvironment, values: Changes, origin: str = WHAT_IF) -> WhatIfInputs:
        """Return a recorded pass's rules and strategies with changed settings; without changes, return them as
        recorded.

        Raise ConfigurationError if the settings wouldn't load, and OperatorError for a change that would make this a
        different bot.
        """
        for path, _ in values:
            if path[0] in FIXED:
                raise OperatorError(
                    f"a what-if can't change {path[0]}: with another {path[0]}, it would be a different bot", HELP
                )
        values = [(part, _read(part, item)) for path, value in values for part, item in leaves(value, path).items()]
        then = self.then(around)
        if not values:
            return WhatIfInputs(then.rules, then.rules, (), ())
        put = with_settings(around, values, origin)
        answering = self._answering(then, RecordedRules(put.settings, put.rules))
        return WhatIfInputs(then.rules, put.rules, answering, tuple(_unanswered_changes(values, then.rules)))

    def _answering(self, then: RecordedRules, now: RecordedRules) -> tuple[ReplayedStrategy, ...]:
        was, becomes = then.settings.strategies.in_use(), now.settings.strategies.in_use()
        replayed_strategies = list[ReplayedStrategy]()
        for name in dict.fromkeys((*was, *becomes)):
            changed = frozenset(_different(was.get(name, {}), becomes.get(name, {})))
            sees = (
                _visible_rules(then.rules.of(name)) != _visible_rules(now.rules.of(name))
                or then.rules.sectors != now.rules.sectors
            )
            if changed or sees or (name in was) != (name in becomes):
                old, new = (self._strategy(rules.settings, name) for rules in (then, now))
                replayed_strategies.append(ReplayedStrategy(name, old, new, changed, sees))
        return tuple(replayed_strategies)

    def _strategy(self, settings: Settings, name: str) -> Strategy | None:
        own = settings.strategies.in_use().get(name)
        if own is None:
            return None
        key = name, repr(own)
        if key not in self._made:
            surroundings = plugin_surroundings(settings, self._folder, self._environ)
            instances = strategies(
                {name: own}, surroundings, settings.strategies.installed_as(), self._installed_by_name
            )
            self._closing.callback(close, instances)
            self._made[key] = instances[0]
        return self._made[key]

    @cached_property
    def _installed_by_name(self) -> Mapping[str, EntryPoint]:
        return installed_strategies()


def _read(path: tuple[str, ...], value: object) -> object:
    """Return a setting's value; a universe's name or file becomes its symbols. Raise OperatorError if there is none."""
    if path != ("universe",) or not isinstance(value, str):
        return value
    try:
        return read_universe(value, shipped_path("universes"), Path()).symbols
    except ConfigurationError as unknown:
        raise OperatorError(unknown.message, unknown.hint) from None


def _different(was: Mapping[str, Any], becomes: Mapping[str, Any]) -> Iterator[str]:
    return (key for key in {**was, **becomes} if was.get(key) != becomes.get(key))


def _visible_rules(own: StrategyRules) -> tuple[Any, ...]:
    """Return the rules that a strategy sees, or that its answer is checked against."""
    return tuple(own.universe), own.wants, own.costs, own.allotment_fraction


def _unanswered_changes(values: Changes, before: Rules) -> Iterator[Unanswered]:
    for path, value in values:
        fewer = isinstance(value, list) and set(value) <= set(before.every_symbol)
        if why := _why_unanswered(path, before, fewer=fewer):
            yield Unanswered(".".join(path), why)


def _why_unanswered(path: tuple[str, ...], before: Rules, *, fewer: bool) -> str:
    """Return why a setting isn't part of the what-if, or only in part; empty if all of it is."""
    section, last = path[0], path[-1]
    if section in BEFORE:
        return BEFORE[section]
    if section not in READ:
        return "no decision of a pass depends on it"
    if section == "exits" or path[2:3] == ("exits",):
        return "this pass used it only to size entries; passes of evaluate-exits decide which positions it closes"
    if section == "halts":
        return "a halt that was in force stays in force: it was set before the pass"
    if section == "universe" or path[2:3] == ("universe",):
        return "" if fewer else "symbols that weren't evaluated at the time have no quote and no flow"
    if path[2:3] == ("times",):
        return "which strategies were due was decided before the pass"
    if last in SHOCKS and "limits" in path:
        return "which price moves count as shocks was computed before the pass"
    if last == "price_jump_fraction":
        return "which prices were requested a second time was decided before the pass"
    if last in AT_STOPS and not _asks_for_stops(before):
        return "what positions lose at their stops wasn't computed, because no limit needed it"
    return ""


def _asks_for_stops(rules: Rules) -> bool:
    every = (rules.limits, *(own.limits for own in rules.own.values()))
    return any(getattr(limits, name) is not None for limits in every for name in AT_STOPS)
