"""Compare the current configuration with the accepted one. If any setting is looser, entries are blocked.

So a missing file, a leftover environment variable or a release's new defaults can't raise a limit unnoticed. No value
of an exit rule counts as tighter than another: while a rule differs, exits follow the accepted rule (`accepted_exits`).
That is also true for strategies with their own rules. If an accepted `shadow: true` was removed, every order is
blocked, because a bot in shadow has no positions to close.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import PurePath
from types import NoneType
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError

from tradebot.adapters.state.state_folder import LEARNED
from tradebot.app.venues import EARLIER
from tradebot.exits.rules import Exits, parse
from tradebot.model.limits import Counts, ExitRules, Frozen, Tighter
from tradebot.model.record import Job
from tradebot.model.trading import Baseline, Difference, Mode
from tradebot.strategies.settings import UNTIL_PROMOTED

Keys = tuple[str, ...]
SHIPPED = frozenset({"base.yaml", "sandbox.yaml", "paper.yaml", "live.yaml", "backtest.yaml"})
VENUES = "venues"
"""The shipped configuration files, and the folder of those for venues."""
UNSAID: Mapping[str, str] = {"venue": EARLIER}
"""The fixed behavior of releases before a setting existed, which accepting their configuration included."""
LEARNED_KEYS = (("mode",), ("models",), ("evaluation",))
"""What a walk sets of a policy in shadow."""
_ABSENT = object()
_AS_STORED = frozenset((str, int, bool, NoneType))
"""The types that JSON stores unchanged."""


def effective(settings: Frozen) -> dict[str, Any]:
    """Return all values of the settings in the form in which a baseline stores them."""
    # An optional setting that is left out has no value.
    values: dict[str, Any] = to_json_form(settings.model_dump(exclude_unset=True))
    return values


def values_of(settings: Frozen) -> dict[str, Any]:
    """Return each value of the settings by its dotted name."""
    return {".".join(path): value for path, value in leaves(effective(settings)).items()}


def differences(
    settings: Frozen, baseline: Baseline, origins: Mapping[str, str], values: dict[str, Any] | None = None
) -> tuple[Difference, ...]:
    """Return each setting whose value differs from the accepted one, in the order of the configuration.

    `values` has the settings' effective values, if already known.
    """
    now, approved = effective(settings) if values is None else values, with_earlier(baseline.values)
    if _same(approved, now):
        return ()
    return tuple(_differences(type(settings), leaves(now), leaves(approved), origins))


def with_earlier(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Complete accepted values: settings that didn't exist yet get the value that matches the earlier releases'
    behavior.
    """
    return {**UNSAID, **values}


def accepted_exits(rules: ExitRules, baseline: Baseline) -> ExitRules:
    """Return the accepted exit rules.

    A rule keeps its configured value if no value was accepted or this version no longer allows the accepted value,
    because there must always be a stop.
    """
    accepted = baseline.values.get("exits", {})
    with suppress(ValidationError):
        return ExitRules.model_validate({**rules.model_dump(), **accepted})
    for name, value in accepted.items():
        with suppress(ValidationError):
            rules = ExitRules.model_validate({**rules.model_dump(), name: value})
    return rules


def accepted_own_exits(own: Mapping[str, Exits], baseline: Baseline) -> Mapping[str, Exits]:
    """Return the accepted exit rules of each strategy that has exit rules of its own.

    A strategy keeps its configured rules if it wasn't accepted yet, or if this version no longer allows the accepted
    rules.
    """
    lists = dict(own)
    for name, section in baseline.values.get("strategies", {}).items():
        listed = (section or {}).get("exits")
        if listed is None and section is not None:
            lists.pop(name, None)
        elif listed is not None:
            with suppress(ValueError):
                lists[name] = parse(listed)
    return lists


def tighter_direction(model: type[Frozen], path: Keys) -> Tighter | None:
    """Return which values of a setting are tighter, as declared by it or by an enclosing section; None if undeclared.

    Any change to the times of a scheduled verb counts as tighter, because the timetable can run only verbs that send no
    orders.
    """
    if path[:1] == ("timetable",) and path[1:2] and path[1] not in set(Job):
        return Tighter.ALWAYS
    return next((mark for mark in _marks(model, path) if isinstance(mark, Tighter)), None)


def counts_at_start(model: type[Frozen], name: str) -> bool:
    """Return True if a changed setting takes effect only when `serve` is started again."""
    return Counts.AT_START in _marks(model, tuple(name.split(".")))


def _marks(model: type[Frozen], path: Keys) -> Iterator[object]:
    """Yield the annotations of a setting and its sections, outermost first; a section with arbitrary names has one
    type.
    """
    section: object = model
    for name in path:
        if not (isinstance(section, type) and issubclass(section, Frozen)):
            return
        field = section.model_fields.get(name)
        if field is None:
            extra = get_type_hints(section).get("__pydantic_extra__")
            section = section_of(get_args(extra)[1]) if get_args(extra) else None
        else:
            yield from field.metadata
            section = section_of(field.annotation)


def section_of(annotation: object) -> object:
    """Return X for an annotation `X | None`, and any other annotation unchanged."""
    members = [member for member in get_args(annotation) if member is not NoneType]
    return members[0] if NoneType in get_args(annotation) and len(members) == 1 else annotation


def origin_of(origins: Mapping[str, str], name: str) -> str:
    """Return the source of a value, or else the source of the nearest enclosing section."""
    while name:
        if name in origins:
            return origins[name]
        name = name.rpartition(".")[0]
    return "built in"


def _differences(
    model: type[Frozen], now: Mapping[Keys, Any], approved: Mapping[Keys, Any], origins: Mapping[str, str]
) -> Iterator[Difference]:
    for path in dict.fromkeys((*now, *approved)):
        is_now, was = now.get(path, _ABSENT), approved.get(path, _ABSENT)
        if _same(was, is_now):
            continue
        # Any change of a setting without a declared direction, such as a plug-in's, counts as looser.
        direction = tighter_direction(model, path) or Tighter.SAME
        name = ".".join(path)
        if direction is Tighter.ALWAYS or _is_in_shadow(path, now, origins):
            continue
        yield Difference(
            name,
            None if was is _ABSENT else was,
            None if is_now is _ABSENT else is_now,
            "nothing sets it" if is_now is _ABSENT else _source(origins, name),
            _looser(direction, was, is_now) and not _only_tightens(path, was, is_now),
            was is not _ABSENT,
            is_now is not _ABSENT,
        )


def _is_in_shadow(path: Keys, now: Mapping[Keys, Any], origins: Mapping[str, str]) -> bool:
    """Return True for what learning set of a strategy whose entries are only simulated; it is accepted before they are
    sent.
    """
    if path[2:] not in LEARNED_KEYS or origins.get(".".join(path)) != LEARNED:
        return False
    shadow = now.get((*path[:2], "shadow"), False)
    # Real money needs both: that a person accepts the models, and that they are promoted.
    return shadow is True or (shadow == UNTIL_PROMOTED and now[("mode",)] != Mode.LIVE)


def _only_tightens(path: Keys, was: Any, now: Any) -> bool:
    """Return True for a new restriction: a strategy's own limit where it had none can only tighten the account's.

    The same holds for approval rules, for promotion conditions, and for a chat that is off, which also closes nothing.
    What the pages may do and where headlines come from was the release's own default at first. An empty section is a
    leaf and has no content.
    """
    if path[:1] == ("chat",):
        return now in (_ABSENT, None, False)
    if path == ("promotion", "by_itself"):
        return now is None
    if path[:1] in (("web",), ("promotion",), ("news",)):
        return was is _ABSENT
    if path[:1] == ("approval",) or (path[:1] == ("strategies",) and path[2:3] == ("approval",)):
        return was in (_ABSENT, None)
    if path[:1] == ("strategies",) and path[2:] == ("shadow",):
        return now is not _ABSENT and (was in (_ABSENT, False) or now is True)
    own = path[:1] == ("strategies",) and path[2:3] == ("limits",)
    return own and (was is _ABSENT or len(path) == 3)


def _looser(direction: Tighter, approved: Any, now: Any) -> bool:
    """Return True if a changed value allows more than the approved one, or if the two can't be compared."""
    if direction is Tighter.FEWER and isinstance(approved, list) and isinstance(now, list):
        return not set(now) <= set(approved)
    if direction not in (Tighter.LOWER, Tighter.HIGHER):
        return True
    if now is None or approved is None:
        # A limit that is off allows everything, as in a release before it existed.
        return approved is not None and approved is not _ABSENT
    was, is_now = _number(approved), _number(now)
    if was is None or is_now is None:
        return True
    return is_now > was if direction is Tighter.LOWER else is_now < was


def _same(approved: Any, now: Any) -> bool:
    """Compare values including types, at any depth, because true equals 1 in Python."""
    kind = type(now)
    if type(approved) is not kind:
        return False
    if kind is dict:
        return approved.keys() == now.keys() and all(map(_same, map(approved.get, now), now.values()))
    if kind is list:
        return len(approved) == len(now) and all(map(_same, approved, now))
    return bool(approved == now)


def _number(value: Any) -> Decimal | None:
    """Return a number, with a boolean as 0 or 1; None for anything else."""
    try:
        number = Decimal(int(value) if isinstance(value, bool) else str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def is_shipped(origin: str) -> bool:
    """Return True if a value comes from a file of this release."""
    return origin in SHIPPED or PurePath(origin).parts[:1] == (VENUES,)


def _source(origins: Mapping[str, str], name: str) -> str:
    """Describe where a value comes from, naming the environment variable or the release's file."""
    origin = origin_of(origins, name)
    return f"release default: {origin}" if is_shipped(origin) else origin


def leaves(value: Any, path: Keys = ()) -> dict[Keys, Any]:
    """Return all leaf values by path; an empty mapping counts as a leaf."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {inner: leaf for key, item in value.items() for inner, leaf in leaves(item, (*path, str(key))).items()}


def to_json_form(value: Any) -> Any:
    """Return a value in the form JSON stores it; equal numbers get equal text."""
    if type(value) in _AS_STORED:
        return value
    if isinstance(value, dict):
        return {str(key): to_json_form(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_form(item) for item in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float) else str(value)
