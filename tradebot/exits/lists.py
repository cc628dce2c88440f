"""Lists of exit rules: the account's, those that the configuration gives to strategies, and what watches a position."""

import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

from msgspec import Struct
from pydantic import PlainValidator, ValidationError

from tradebot.exits import kinds as folder
from tradebot.exits.kind import ExitRule, PriceTarget, WatchedPosition
from tradebot.exits.kinds.stops import StopLoss, TrailingStop
from tradebot.exits.kinds.targets import GainLevel, Ladder, ProfitTarget, ScaleOut
from tradebot.exits.kinds.times import TimeExit
from tradebot.model.candidate import ScaleOutLevel
from tradebot.model.instrument import Instrument
from tradebot.model.limits import ExitRules
from tradebot.model.position import Kept
from tradebot.model.text import describe_validation_error, in_yaml, known_name

Exits = tuple[ExitRule, ...]
"""The rules that watch a position. All of them are asked, so their order doesn't matter."""

LONGEST_VALUE = 200
"""How many letters of a wrong value are shown."""

Listed = list[dict[str, dict[str, Any]]]
"""Rules as they are written in the configuration: each is its name with its settings."""


class ExitRulesError(ValueError):
    """A list of exit rules with mistakes. Its arguments are a sentence about each, which needs no more words."""

    def __str__(self) -> str:
        return "\n".join(self.args)


@cache
def kinds() -> Mapping[str, type[ExitRule]]:
    """Return every kind of exit rule by its name in the configuration, which its module declares."""
    modules = (import_module(f"{folder.__name__}.{module.name}") for module in iter_modules(folder.__path__))
    return dict(sorted(item for module in modules for item in module.RULES.items()))


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

    Raises ExitRulesError if a rule is unknown, listed twice or has bad settings.
    """
    if not isinstance(listed, list | tuple):
        raise ExitRulesError("must be a list of exit rules, such as [{stop_loss: {fraction: 0.02}}]")
    rules, problems = list[ExitRule](), list[str]()
    for place, item in enumerate(listed):
        try:
            rules.append(_rule(item))
        except ValueError as error:
            problems += [f"rule {place + 1}: {mistake}" for mistake in error.args]
    problems += () if problems else _contradictions(rules)
    if problems:
        raise ExitRulesError(*problems)
    return tuple(rules)


def _checked(listed: object) -> Listed:
    return to_rule_list(parse(listed))


def to_rule_list(rules: Exits) -> Listed:
    names = {kind: name for name, kind in kinds().items()}
    return [{names[type(rule)]: rule.model_dump()} for rule in rules]


def _rule(item: object) -> ExitRule:
    if not (isinstance(item, Mapping) and len(item) == 1):
        raise ExitRulesError("must be one exit rule with its settings, such as {stop_loss: {fraction: 0.02}}")
    ((name, settings),) = item.items()
    kind = kinds()[known_name(str(name), tuple(kinds()), "exit rule")]
    if not isinstance(settings, Mapping):
        raise ExitRulesError(f"{name} needs its settings: {', '.join(kind.model_fields)}")
    try:
        return kind.model_validate(settings)
    except ValidationError as bad:
        raise ExitRulesError(*_mistakes(name, bad)) from None


def _mistakes(name: str, bad: ValidationError) -> Iterator[str]:
    for error in bad.errors():
        setting = ".".join((name, *map(str, error["loc"])))
        if error["type"] == "extra_forbidden":
            settings = ", ".join(kinds()[name].model_fields)
            yield f"{setting}: there is no such setting; {name} has {settings}"
        elif error["type"] == "missing":
            yield f"{setting}: {describe_validation_error(error)}"
        else:
            yield f"{setting}: {describe_validation_error(error)}, not {_as_written(error['input'])}"


def _as_written(value: object) -> str:
    """Return a value as the configuration has it; a word in quotes, so that odd letters in it show."""
    return reprlib.repr(value) if isinstance(value, str) else in_yaml(value)[:LONGEST_VALUE]


def _contradictions(rules: Sequence[ExitRule]) -> Iterator[str]:
    names = {kind: name for name, kind in kinds().items()}
    for place, rule in enumerate(rules):
        if any(type(rule) is type(other) for other in rules[:place]):
            yield f"{names[type(rule)]} is listed twice"
        contradiction = rule.contradiction(rules)
        if contradiction:
            yield contradiction


def in_force(rules: Exits, kept: Kept) -> Exits:
    """Return all rules that watch a position: those of its strategy, and the stop and targets that it was opened with.

    Of two stops, and of two targets, only the nearer one is in force; of two scale-outs, or of a scale-out and a
    ladder, the position's own. A target that isn't beyond the last level of a ladder isn't in force.
    """
    own = _own_rules(kept.stop_loss_fraction, kept.profit_target_fraction, kept.targets)
    nearer = {type(rule): rule for rule in own}
    for rule in rules:
        other = nearer.get(type(rule))
        if not (isinstance(rule, StopLoss | ProfitTarget) and isinstance(other, StopLoss | ProfitTarget)):
            continue
        if rule.fraction <= other.fraction:
            del nearer[type(rule)]
    all_rules = (*nearer.values(), *(rule for rule in rules if type(rule) not in nearer)) if nearer else rules
    ladder = next((rule for rule in all_rules if isinstance(rule, Ladder)), None)
    return all_rules if ladder is None else tuple(_beside(ladder, all_rules, kept))


def _beside(ladder: Ladder, rules: Iterable[ExitRule], kept: Kept) -> Iterator[ExitRule]:
    """Yield the rules that are in force beside a ladder, and the ladder unless the position has its own scale-out."""
    for rule in rules:
        is_nearer = isinstance(rule, ProfitTarget) and ladder.reaches(rule.fraction, kept.stop_loss_fraction)
        if (rule is not ladder) if kept.targets else not is_nearer:
            yield rule


@lru_cache(maxsize=1024)
def _own_rules(stop: Decimal | None, target: Decimal | None, targets: tuple[ScaleOutLevel, ...]) -> Exits:
    """Return the rules that a position was opened with; each pass asks for those of each position."""
    levels = tuple(GainLevel(fraction=each.fraction, share=each.share) for each in targets)
    return (
        *(() if stop is None else (StopLoss(fraction=stop),)),
        *(() if target is None else (ProfitTarget(fraction=target),)),
        *((ScaleOut(levels=levels),) if levels else ()),
    )


def nearest_stop(rules: Collection[ExitRule], price: Decimal, instrument: Instrument | None) -> Decimal | None:
    """Return the smallest move against a position that makes a rule of the list close it; None if none does."""
    fixed, moves = worst_stop(rules, price, instrument), (rule.nearest for rule in rules)
    return min((move for move in (fixed, *moves) if move is not None), default=None)


def worst_stop(
    rules: Iterable[ExitRule], price: Decimal | None = None, instrument: Instrument | None = None
) -> Decimal | None:
    """Return the loss at which the list closes a position, as a fraction of the entry price; None if it has none.

    What a stop in ticks is of it depends on the entry price and the instrument.
    """
    known = (price, instrument.tick) if price and instrument else None
    gains = (rule.gain if known is None else rule.gain_at(*known) for rule in rules)
    return min((-gain for gain in gains if gain is not None and gain < 0), default=None)


def has_stop(rules: Iterable[ExitRule]) -> bool:
    """Return True if the list closes any position at a fixed loss."""
    return any(rule.is_stop for rule in rules)


ExitList = Annotated[Listed, PlainValidator(_checked)]
"""A setting that holds a list of exit rules, as it is written in the configuration."""


class ExitLevels(Struct, frozen=True):
    """Where a position is to be closed, in USD per share, not rounded.

    `stop` is None if no rule has a stop price now. Each target is a price with the shares that are closed there, the
    nearest first. They never add up to more than is held; what they leave has no target. `word` is the name of the rule
    whose stop that is, in composed reasons.
    """

    stop: Decimal | None = None
    targets: tuple[PriceTarget, ...] = ()
    word: str = ""


def levels(held: WatchedPosition, rules: Collection[ExitRule]) -> ExitLevels:
    """Return the tightest stop price in force, and the targets, of the rules that watch a position.

    A stop that isn't armed yet isn't in force. The stop only ever moves toward profit, as the best price does.
    """
    found = [(rule, rule.level(held)) for rule in rules]
    prices = [
        (level.price, rule.name) for rule, level in found if level.price is not None and level.armed and not level.ahead
    ]
    stop, word = max(prices, key=lambda one: (one[0] * held.direction, one[1]), default=(None, ""))
    ahead = [rule for rule, level in found if level.ahead and level.price is not None]
    targets = [target._replace(word=rule.name) for rule in ahead for target in rule.targets(held)]
    within = _within(held, sorted(targets, key=lambda target: (held.direction * target.price, target.word)))
    return ExitLevels(stop, within, word)


def _within(held: WatchedPosition, targets: Iterable[PriceTarget]) -> tuple[PriceTarget, ...]:
    """Return the targets with no more shares than are left when the price gets there."""
    left, fitting = abs(held.position.quantity), list[PriceTarget]()
    for target in targets:
        shares = min(target.shares, left)
        if shares:
            fitting.append(target._replace(shares=shares))
            left -= shares
    return tuple(fitting)
