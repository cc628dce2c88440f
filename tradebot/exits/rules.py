"""Decide when to close a position: ask all of its exit rules, and let the strongest answer count."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.exits.kind import ExitMoment, ExitRule, Measure, PriceRule, RuleInput, WatchedPosition, exit_price
from tradebot.exits.lists import Exits
from tradebot.exits.why import ReasonPart, Why
from tradebot.model.bar import Quote, Session
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState
from tradebot.model.values import replace


class ExitCall(Struct, frozen=True):
    """What the exit rules say of a position.

    `decision` is PASS to close, with the reason and the numbers of the strongest rule, or FAIL with HOLD, or UNKNOWN.
    `shares` are how many shares to close, unsigned; None means all. `why` are all rules that fired, the strongest
    first. `unknown` are the decisions of the rules that couldn't tell, each once. `by_price` is True if nothing but
    rules of price fired, whose levels may rest at the venue.
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


def judge(
    held: WatchedPosition,
    quote: Quote | None,
    now: datetime,
    rules: Exits,
    state: TradingState,
    ratio: Decimal = Decimal(1),
    clocks: Decision | None = None,
    session: Session | None = None,
) -> ExitCall:
    """Ask all rules, in whatever order they are listed, and return what to do.

    A rule that can't tell keeps no other rule from closing the position. If none does, a missing quote or clock is
    returned as UNKNOWN; anything else that is missing is returned so only if no rule could tell.

    `ratio` is the broker's shares as a multiple of the books'. If it isn't one, there may have been a split, and the
    rules close the position only if they would do so either way. If `clocks` didn't pass, no rule that needs the time
    can close it. `session` is the trading session of `now`.
    """
    if state is TradingState.FLATTEN:
        return ExitCall(Decision(Gate.EXIT, Verdict.PASS, Reason.FLATTEN, state.value), None, (ReasonPart("flatten"),))
    price = exit_price(held.position, quote) if quote else None
    moment = ExitMoment(now if clocks is None or clocks.passed else None, price, session)
    fired, absent = _ask(held, moment, rules)
    unknown = tuple(dict.fromkeys(_unknown(rule, what, clocks) for rule, what in absent))
    shares = fired[0].measure.shares if fired else None
    if price is not None and ratio > 0 and ratio != 1:
        other, _ = _ask(held, replace(moment, price=price * ratio), rules)
        if bool(other) is not bool(fired):
            age_s = quote.age_s(now) if quote else None
            unproven = Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.SPLIT_UNPROVEN, ratio, 1, age_s)
            return ExitCall(unproven, unknown=unknown)
        shares = _fewer(shares, other[0].measure.shares) if other else None
    if fired:
        why = tuple(rule.part(held, measure) for rule, measure in fired)
        by_price = all(isinstance(rule, PriceRule) for rule, _ in fired)
        return ExitCall(_closing(held, fired[0], quote, now), shares, why, unknown, by_price)
    blind = len(absent) == len(rules)
    return ExitCall(_holding(held, quote, now, rules, unknown, blind=blind), unknown=unknown)


def is_blind(decision: Decision) -> bool:
    """Return True if a price or the time is missing, so that stops can't be judged."""
    return decision.verdict is Verdict.UNKNOWN and decision.reason is not Reason.EXIT_INPUT_MISSING


def triggered_reason(held: WatchedPosition, price: Decimal, rules: Exits) -> Reason | None:
    """Return the reason of the strongest rule of price that closes the position at `price`, in USD; None if none."""
    by_price = tuple(rule for rule in rules if isinstance(rule, PriceRule))
    fired, _ = _ask(held, ExitMoment(price=price), by_price)
    return fired[0].rule.reason if fired else None


def _ask(
    held: WatchedPosition, moment: ExitMoment, rules: Iterable[ExitRule]
) -> tuple[Sequence[_Fired], Sequence[tuple[ExitRule, RuleInput]]]:
    """Return the rules that fired, the strongest first, and those that can't tell with what they lack."""
    fired, absent = list[_Fired](), list[tuple[ExitRule, RuleInput]]()
    for rule in rules:
        answer = rule.judge(held, moment)
        if isinstance(answer, RuleInput):
            absent.append((rule, answer))
        elif answer.closes:
            fired.append(_Fired(rule, answer))
    return sorted(fired, key=_strength), sorted(absent, key=lambda pair: (pair[0].rank, pair[0].reason))


def _strength(fired: _Fired) -> tuple[bool, Decimal, int, str]:
    """Sort rules that close everything before those that close a part."""
    shares = fired.measure.shares
    return shares is not None, -(shares or Decimal(0)), fired.rule.rank, fired.rule.reason


def _fewer(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Return the smaller number of shares, where None means all."""
    return min((shares for shares in (one, other) if shares is not None), default=None)


def _closing(held: WatchedPosition, fired: _Fired, quote: Quote | None, now: datetime) -> Decision:
    """Return the decision to close; its age is the quote's if the rule looked at one, else the position's."""
    by_quote = quote if RuleInput.QUOTE in fired.rule.needs else None
    age_s = by_quote.age_s(now) if by_quote else (now - held.position.opened_at).total_seconds()
    measure = fired.measure
    return Decision(Gate.EXIT, Verdict.PASS, fired.rule.reason, measure.observed, measure.limit, age_s)


def _unknown(rule: ExitRule, what: RuleInput, clocks: Decision | None) -> Decision:
    if what is RuleInput.QUOTE:
        return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    if what is RuleInput.CLOCK and clocks is not None:
        return replace(clocks, gate=Gate.EXIT, verdict=Verdict.UNKNOWN)
    return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.EXIT_INPUT_MISSING, what.value, rule.reason.value)


def _holding(
    held: WatchedPosition, quote: Quote | None, now: datetime, rules: Exits, unknown: Sequence[Decision], *, blind: bool
) -> Decision:
    """Return UNKNOWN if a price or the time is missing, or if no rule could tell; else HOLD with the nearest rule."""
    for decision in sorted(unknown, key=lambda each: each.reason is not Reason.QUOTE_MISSING):
        if decision.reason is not Reason.EXIT_INPUT_MISSING or blind:
            return decision
    if quote is None:
        return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD)
    gain = held.gain(exit_price(held.position, quote))
    return Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD, gain, _nearest(gain, rules), quote.age_s(now))


def _nearest(gain: Decimal, rules: Iterable[ExitRule]) -> Decimal | None:
    """Return the nearest gain or loss at which a rule closes, on the side on which the position is now."""
    gains = [rule.gain for rule in rules if rule.gain is not None]
    if gain > 0:
        return min((one for one in gains if one > 0), default=None)
    return max((one for one in gains if one < 0), default=None)
