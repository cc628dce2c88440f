"""Lists of exit rules: the account's, those that the configuration gives to strategies, and what watches a position."""

import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

from pydantic import PlainValidator, ValidationError

from tradebot.exits import kinds as folder
from tradebot.exits.kind import ExitRule, PriceRule
from tradebot.exits.kinds.profit_target import ProfitTarget
from tradebot.exits.kinds.stop_loss import StopLoss
from tradebot.exits.kinds.time_exit import TimeExit
from tradebot.exits.kinds.trailing_stop import TrailingStop
from tradebot.limits import ExitRules
from tradebot.model.position import Kept
from tradebot.text import expected, known_name

Exits = tuple[ExitRule, ...]
"""The rules that watch a position. Those of time are asked first, then those of price, otherwise in this order."""

Listed = list[dict[str, dict[str, Any]]]
"""Rules as they are written in the configuration: each is its name with its settings."""


class ExitRulesError(ValueError):
    """A list of exit rules with mistakes; each line of the message is about one and needs no more words."""


@cache
def kinds() -> Mapping[str, type[ExitRule]]:
    """Return every kind of exit rule by its name, which is the name of its file."""
    names = sorted(module.name for module in iter_modules(folder.__path__))
    return {name: import_module(f"{folder.__name__}.{name}").RULE for name in names}


@lru_cache(maxsize=8)
def of_account(rules: ExitRules) -> Exits:
    """Return the account's rules, which watch each position whose strategy has no list of its own."""
    return (
        TimeExit(after_s=rules.time_exit_s),
        StopLoss(fraction=rules.stop_loss_fraction),
        ProfitTarget(fraction=rules.profit_target_fraction),
        TrailingStop(fraction=rules.trailing_stop_fraction, arm_fraction=rules.trailing_arm_fraction),
    )


def parse(listed: object) -> Exits:
    """Return the rules of a list such as `[{stop_loss: {fraction: 0.02}}, {time_exit: {after_s: 14400}}]`.

    Raises ValueError, one line for each mistake, if a rule is unknown, listed twice or has bad settings.
    """
    if not isinstance(listed, list | tuple):
        raise ValueError("must be a list of exit rules, such as [{stop_loss: {fraction: 0.02}}]")
    rules, problems = list[ExitRule](), list[str]()
    for place, item in enumerate(listed):
        try:
            rules.append(_rule(item))
        except ValueError as error:
            problems += [f"rule {place + 1}: {line}" for line in str(error).splitlines()]
    problems += () if problems else _contradictions(rules)
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(rules)


def _checked(listed: object) -> Listed:
    try:
        return written(parse(listed))
    except ValueError as error:
        raise ExitRulesError(str(error)) from None


def written(rules: Exits) -> Listed:
    """Return a list of rules as it is written in the configuration."""
    names = {kind: name for name, kind in kinds().items()}
    return [{names[type(rule)]: rule.model_dump()} for rule in rules]


def _rule(item: object) -> ExitRule:
    if not (isinstance(item, Mapping) and len(item) == 1):
        raise ValueError("must be one exit rule with its settings, such as {stop_loss: {fraction: 0.02}}")
    ((name, settings),) = item.items()
    kind = kinds()[known_name(str(name), tuple(kinds()), "exit rule")]
    if not isinstance(settings, Mapping):
        raise ValueError(f"{name} needs its settings: {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(settings)
    except ValidationError as bad:
        raise ValueError("\n".join(_mistakes(name, bad))) from None


def _mistakes(name: str, bad: ValidationError) -> Iterator[str]:
    for error in bad.errors():
        setting = ".".join((name, *map(str, error["loc"])))
        if error["type"] == "extra_forbidden":
            settings = ", ".join(kinds()[name].model_fields)
            yield f"{setting}: there is no such setting; {name} has {settings}"
        elif error["type"] == "missing":
            yield f"{setting}: {expected(error)}"
        else:
            yield f"{setting}: {expected(error)}, not {reprlib.repr(error['input'])}"


def _contradictions(rules: Sequence[ExitRule]) -> Iterator[str]:
    names = {kind: name for name, kind in kinds().items()}
    for place, rule in enumerate(rules):
        if any(type(rule) is type(other) for other in rules[:place]):
            yield f"{names[type(rule)]} is listed twice"
        contradiction = rule.contradiction(rules)
        if contradiction:
            yield contradiction


def in_force(rules: Exits, kept: Kept) -> Exits:
    """Return all rules that watch a position: those of its strategy, and the stop and target that it was opened with.

    Of two stops, and of two targets, only the nearer one is in force: it acts first.
    """
    stop, target = kept.stop_loss_fraction, kept.profit_target_fraction
    own = (
        *(() if stop is None else (StopLoss(fraction=stop),)),
        *(() if target is None else (ProfitTarget(fraction=target),)),
    )
    nearer = {type(rule): rule for rule in own}
    for rule in rules:
        other = nearer.get(type(rule))
        if isinstance(rule, StopLoss | ProfitTarget) and other is not None and rule.fraction <= other.fraction:
            del nearer[type(rule)]
    return (*nearer.values(), *(rule for rule in rules if type(rule) not in nearer)) if nearer else rules


def worst_stop(rules: Iterable[ExitRule]) -> Decimal | None:
    """Return the loss at which the list closes any position, as a fraction of the entry price; None if it has none."""
    gains = (rule.gain for rule in rules if isinstance(rule, PriceRule) and rule.gain is not None)
    return min((-gain for gain in gains if gain < 0), default=None)


ExitList = Annotated[Listed, PlainValidator(_checked)]
"""A setting that holds a list of exit rules, as it is written in the configuration."""
