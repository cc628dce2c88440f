"""Decide when to close a position: evaluate all of its exit rules, and use the strongest result.

It also builds the lists of rules: the account's, each strategy's, and those that apply to a position.
"""

import reprlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any, NamedTuple

from msgspec import Struct
from pydantic import PlainValidator, ValidationError

from tradebot.exits import kinds as folder
from tradebot.exits.exit_reasons import ReasonPart, Why
from tradebot.exits.exit_rule import (
    ExitMoment,
    ExitRule,
    Measure,
    PriceRule,
    PriceTarget,
    RuleInput,
    WatchedPosition,
    exit_price,
)
from tradebot.exits.kinds.stops import StopLoss, TrailingStop
from tradebot.exits.kinds.targets import GainLevel, Ladder, ProfitTarget, ScaleOut
from tradebot.exits.kinds.times import TimeExit
from tradebot.model.bar import Quote, Session
from tradebot.model.candidate import ScaleOutLevel
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Instrument
from tradebot.model.limits import ExitRules
from tradebot.model.position import EntryTerms
from tradebot.model.reasons import Reason
from tradebot.model.sentences import describe_validation_error, format_yaml_scalar, known_name
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

Exits = tuple[ExitRule, ...]

"""The rules of a position. All of them are evaluated, so their order doesn't matter."""

LONGEST_VALUE = 200

"""How many letters of a wrong value are shown."""

Listed = list[dict[str, dict[str, Any]]]

"""Rules as they are written in the configuration: each is its name with its settings."""


class ExitRulesError(ValueError):
    """Raised for mistakes in a list of exit rules; each argument describes one mistake in a full sentence."""

    def __str__(self) -> str:
        return "\n".join(self.args)


@cache
def kinds() -> Mapping[str, type[ExitRule]]:
    """Return every kind of exit rule by its name in the configuration, which its module declares."""
    modules = (import_module(f"{folder.__name__}.{module.name}") for module in iter_modules(folder.__path__))
    return dict(sorted(item for module in modules for item in module.RULES.items()))


@lru_cache(maxsize=8)
def account_rules(rules: ExitRules) -> Exits:
    """Return the account's rules, which apply to positions of strategies without their own rules."""
    return (
        TimeExit(after_s=rules.time_exit_s),
        StopLoss(fraction=rules.stop_loss_fraction),
        ProfitTarget(fraction=rules.profit_target_fraction),
        TrailingStop(fraction=rules.trailing_stop_fraction, arm_fraction=rules.trailing_arm_fraction),
    )


def parse(listed: object) -> Exits:
    """Parse a list such as `[{stop_loss: {fraction: 0.02}}, {time_exit: {after_s: 14400}}]`.

    Raise ExitRulesError if a rule is unknown, listed twice or has bad settings, or if rules contradict each other.
    """
    if not isinstance(listed, list | tuple):
        raise ExitRulesError("must be a list of exit rules, such as [{stop_loss: {fraction: 0.02}}]")
    rules, problems = list[ExitRule](), list[str]()
    for index, item in enumerate(listed):
        try:
            rules.append(_rule(item))
        except ValueError as error:
            problems += [f"rule {index + 1}: {mistake}" for mistake in error.args]
    problems += () if problems else _contradictions(rules)
    if problems:
        raise ExitRulesError(*problems)
    return tuple(rules)


def _parse_rule_list(listed: object) -> Listed:
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
    """Return a value as it is written in the configuration; a string in quotes, so that odd characters show."""
    return reprlib.repr(value) if isinstance(value, str) else format_yaml_scalar(value)[:LONGEST_VALUE]


def _contradictions(rules: Sequence[ExitRule]) -> Iterator[str]:
    names = {kind: name for name, kind in kinds().items()}
    for index, rule in enumerate(rules):
        if any(type(rule) is type(other) for other in rules[:index]):
            yield f"{names[type(rule)]} is listed twice"
        contradiction = rule.contradiction(rules)
        if contradiction:
            yield contradiction


def effective_rules(rules: Exits, entry_terms: EntryTerms) -> Exits:
    """Return all rules that apply to a position: its strategy's, and the stop and targets of its entry.

    If there are two stops, only the nearer one applies; the same is true for two targets. If there are two scale-outs,
    or a scale-out and a ladder, the entry's own applies. A target that isn't beyond the last level of a ladder doesn't
    apply.
    """
    own = _own_rules(entry_terms.stop_loss_fraction, entry_terms.profit_target_fraction, entry_terms.targets)
    nearer = {type(rule): rule for rule in own}
    for rule in rules:
        other = nearer.get(type(rule))
        if not (isinstance(rule, StopLoss | ProfitTarget) and isinstance(other, StopLoss | ProfitTarget)):
            continue
        if rule.fraction <= other.fraction:
            del nearer[type(rule)]
    all_rules = (*nearer.values(), *(rule for rule in rules if type(rule) not in nearer)) if nearer else rules
    ladder = next((rule for rule in all_rules if isinstance(rule, Ladder)), None)
    return all_rules if ladder is None else tuple(_with_ladder(ladder, all_rules, entry_terms))


def _with_ladder(ladder: Ladder, rules: Iterable[ExitRule], entry_terms: EntryTerms) -> Iterator[ExitRule]:
    """Yield the rules that apply together with a ladder, and the ladder unless the position has its own scale-out."""
    for rule in rules:
        is_nearer = isinstance(rule, ProfitTarget) and ladder.reaches(rule.fraction, entry_terms.stop_loss_fraction)
        if (rule is not ladder) if entry_terms.targets else not is_nearer:
            yield rule


@lru_cache(maxsize=1024)
def _own_rules(stop: Decimal | None, target: Decimal | None, targets: tuple[ScaleOutLevel, ...]) -> Exits:
    """Return the rules that a position was opened with; cached, because each pass needs those of each position."""
    levels = tuple(GainLevel(fraction=each.fraction, share=each.share) for each in targets)
    return (
        *(() if stop is None else (StopLoss(fraction=stop),)),
        *(() if target is None else (ProfitTarget(fraction=target),)),
        *((ScaleOut(levels=levels),) if levels else ()),
    )


def nearest_stop(rules: Collection[ExitRule], price: Decimal, instrument: Instrument | None) -> Decimal | None:
    """Return the smallest adverse move at which one of the rules closes a position, or None."""
    fixed, moves = worst_stop(rules, price, instrument), (rule.nearest for rule in rules)
    return min((move for move in (fixed, *moves) if move is not None), default=None)


def worst_stop(
    rules: Iterable[ExitRule], price: Decimal | None = None, instrument: Instrument | None = None
) -> Decimal | None:
    """Return the largest loss at which the rules close a position, as a fraction of the entry price, or None.

    A stop in ticks depends on the entry price and the instrument.
    """
    inputs = (price, instrument.tick) if price and instrument else None
    gains = (rule.gain if inputs is None else rule.gain_at(*inputs) for rule in rules)
    return min((-gain for gain in gains if gain is not None and gain < 0), default=None)


def has_stop(rules: Iterable[ExitRule]) -> bool:
    """Return True if one of the rules closes any position at a fixed loss."""
    return any(rule.is_stop for rule in rules)


ExitList = Annotated[Listed, PlainValidator(_parse_rule_list)]

"""A setting with a list of exit rules, as written in the configuration."""


class ExitLevels(Struct, frozen=True):
    """The prices at which to close a position, in USD per share, not rounded.

    `stop` is None if no rule has a stop price now. Each target is a price with the shares to close there, nearest
    first. These shares never add up to more than the position; if they add up to less, the rest has no target. `word`
    is the name of the stop's rule in composed reasons.
    """

    stop: Decimal | None = None
    targets: tuple[PriceTarget, ...] = ()
    word: str = ""


def rule_levels(watched: WatchedPosition, rules: Collection[ExitRule]) -> ExitLevels:
    """Return the tightest stop price among a position's rules that applies now, and the rules' targets.

    A stop that isn't armed yet doesn't apply. Like the best price, the stop only ever moves toward profit.
    """
    levels_now = [(rule, rule.level(watched)) for rule in rules]
    prices = [
        (level.price, rule.name)
        for rule, level in levels_now
        if level.price is not None and level.armed and not level.ahead
    ]
    stop, word = max(prices, key=lambda level: (level[0] * watched.direction, level[1]), default=(None, ""))
    ahead = [rule for rule, level in levels_now if level.ahead and level.price is not None]
    targets = [target._replace(word=rule.name) for rule in ahead for target in rule.targets(watched)]
    within = _within(watched, sorted(targets, key=lambda target: (watched.direction * target.price, target.word)))
    return ExitLevels(stop, within, word)


def _within(watched: WatchedPosition, targets: Iterable[PriceTarget]) -> tuple[PriceTarget, ...]:
    """Return the targets, reduced to the shares that remain when the price gets there."""
    remaining, fitting = abs(watched.position.quantity), list[PriceTarget]()
    for target in targets:
        shares = min(target.shares, remaining)
        if shares:
            fitting.append(target._replace(shares=shares))
            remaining -= shares
    return tuple(fitting)


class ExitCall(Struct, frozen=True):
    """The result of a position's exit rules.

    `decision` is PASS if the position is to be closed, with the reason and the numbers of the strongest rule. Otherwise
    it is FAIL with HOLD, or UNKNOWN. `shares` are how many shares to close, unsigned; None means all. `why` has all
    rules that fired, strongest first. `unknown` has the distinct decisions of the rules that lacked an input.
    `by_price` is True if only price rules fired; their prices may rest as orders at the venue.
    """

    decision: Decision
    shares: Decimal | None = None
    why: Why = ()
    unknown: tuple[Decision, ...] = ()
    by_price: bool = False


class _Fired(NamedTuple):
    """A rule that closes a position, and what it measured."""

    rule: ExitRule
    measure: Measure


def evaluate_rules(
    watched: WatchedPosition,
    quote: Quote | None,
    now: datetime,
    rules: Exits,
    state: TradingState,
    ratio: Decimal = Decimal(1),
    clocks: Decision | None = None,
    session: Session | None = None,
) -> ExitCall:
    """Evaluate all rules, in any order, and return what to do.

    If a rule lacks an input, another rule can still close the position. If none closes it, the result is UNKNOWN if the
    quote or the time is missing; if another input is missing, it is UNKNOWN only if no rule could decide.

    `ratio` is the broker's shares divided by the books'. If it isn't one, there may have been a split, and the rules
    close the position only if they would do so either way. If `clocks` didn't pass, no rule that needs the time can
    close the position. `session` is the trading session of `now`.
    """
    if state is TradingState.FLATTEN:
        return ExitCall(Decision(Gate.EXIT, Verdict.PASS, Reason.FLATTEN, state.value), None, (ReasonPart("flatten"),))
    price = exit_price(watched.position, quote) if quote else None
    moment = ExitMoment(now if clocks is None or clocks.passed else None, price, session)
    fired, absent = _ask(watched, moment, rules)
    unknown = tuple(dict.fromkeys(_unknown(rule, what, clocks) for rule, what in absent))
    shares = fired[0].measure.shares if fired else None
    if price is not None and ratio > 0 and ratio != 1:
        other, _ = _ask(watched, replace(moment, price=price * ratio), rules)
        if bool(other) is not bool(fired):
            age_s = quote.age_s(now) if quote else None
            unproven = Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.SPLIT_UNPROVEN, ratio, 1, age_s)
            return ExitCall(unproven, unknown=unknown)
        shares = _fewer(shares, other[0].measure.shares) if other else None
    if fired:
        why = tuple(rule.part(watched, measure) for rule, measure in fired)
        by_price = all(isinstance(rule, PriceRule) for rule, _ in fired)
        return ExitCall(_closing(watched, fired[0], quote, now), shares, why, unknown, by_price)
    blind = len(absent) == len(rules)
    return ExitCall(_holding(watched, quote, now, rules, unknown, blind=blind), unknown=unknown)


def is_blind(decision: Decision) -> bool:
    """Return True if a price or the time is missing, so that stops can't be evaluated."""
    return decision.verdict is Verdict.UNKNOWN and decision.reason is not Reason.EXIT_INPUT_MISSING


def triggered_reason(watched: WatchedPosition, price: Decimal, rules: Exits) -> Reason | None:
    """Return the reason of the strongest price rule that closes the position at `price`, in USD, or None."""
    by_price = tuple(rule for rule in rules if isinstance(rule, PriceRule))
    fired, _ = _ask(watched, ExitMoment(price=price), by_price)
    return fired[0].rule.reason if fired else None


def _ask(
    watched: WatchedPosition, moment: ExitMoment, rules: Iterable[ExitRule]
) -> tuple[Sequence[_Fired], Sequence[tuple[ExitRule, RuleInput]]]:
    """Return the rules that fired, the strongest first, and those that can't decide, with the input that each lacks."""
    fired, absent = list[_Fired](), list[tuple[ExitRule, RuleInput]]()
    for rule in rules:
        answer = rule.judge(watched, moment)
        if isinstance(answer, RuleInput):
            absent.append((rule, answer))
        elif answer.closes:
            fired.append(_Fired(rule, answer))
    return sorted(fired, key=_strength), sorted(absent, key=lambda pair: (pair[0].rank, pair[0].reason))


def _strength(fired: _Fired) -> tuple[bool, Decimal, int, str]:
    """Sort rules that close everything before those that close a part."""
    shares = fired.measure.shares
    return shares is not None, -(shares or Decimal(0)), fired.rule.rank, fired.rule.reason


def _fewer(value: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Return the smaller number of shares, where None means all."""
    return min((shares for shares in (value, other) if shares is not None), default=None)


def _closing(watched: WatchedPosition, fired: _Fired, quote: Quote | None, now: datetime) -> Decision:
    """Return the decision to close; its age is the quote's if the rule looked at one, else the position's."""
    by_quote = quote if RuleInput.QUOTE in fired.rule.needs else None
    age_s = by_quote.age_s(now) if by_quote else (now - watched.position.opened_at).total_seconds()
    measure = fired.measure
    return Decision(Gate.EXIT, Verdict.PASS, fired.rule.reason, measure.observed, measure.limit, age_s)


def _unknown(rule: ExitRule, what: RuleInput, clocks: Decision | None) -> Decision:
    if what is RuleInput.QUOTE:
        return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    if what is RuleInput.CLOCK and clocks is not None:
        return replace(clocks, gate=Gate.EXIT, verdict=Verdict.UNKNOWN)
    return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.EXIT_INPUT_MISSING, what.value, rule.reason.value)


def _holding(
    watched: WatchedPosition,
    quote: Quote | None,
    now: datetime,
    rules: Exits,
    unknown: Sequence[Decision],
    *,
    blind: bool,
) -> Decision:
    """Return UNKNOWN if a price or the time is missing, or if no rule could decide; else HOLD with the nearest rule."""
    for decision in sorted(unknown, key=lambda each: each.reason is not Reason.QUOTE_MISSING):
        if decision.reason is not Reason.EXIT_INPUT_MISSING or blind:
            return decision
    if quote is None:
        return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD)
    gain = watched.gain(exit_price(watched.position, quote))
    return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD, gain, _nearest(gain, rules), quote.age_s(now))


def _nearest(gain: Decimal, rules: Iterable[ExitRule]) -> Decimal | None:
    """Return the nearest gain or loss at which a rule closes, on the side where the position is now."""
    gains = [rule.gain for rule in rules if rule.gain is not None]
    if gain > 0:
        return min((gain for gain in gains if gain > 0), default=None)
    return max((gain for gain in gains if gain < 0), default=None)
