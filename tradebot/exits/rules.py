"""Decide when to close a position: ask all of its exit rules, and let the strongest answer count."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.exits.kind import Absent, ExitRule, Held, Input, Measure, Moment, PriceRule, exit_price
from tradebot.exits.lists import Exits
from tradebot.exits.why import Part, Why
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


class _Answers(Struct, frozen=True):
    """What all rules say at one price: those that fired, the strongest first, and those that can't tell."""

    fired: tuple[_Fired, ...]
    absent: tuple[tuple[ExitRule, Input], ...]

    @property
    def shares(self) -> Decimal | None:
        """Return how many shares the strongest rule closes; None means all."""
        return self.fired[0].measure.shares


def judge(
    held: Held,
    quote: Quote | None,
    now: datetime,
    rules: Exits,
    state: TradingState,
    ratio: Decimal = Decimal(1),
    clocks: Decision | None = None,
    session: Session | None = None,
) -> ExitCall:
    """Ask all rules, in whatever order they are listed, and return what to do.

    Flatten and rules of time need no price. A rule that can't tell keeps no other rule from closing the position. If
    none does, a missing quote or clock is returned as UNKNOWN, so that the gap is visible; anything else that is
    missing is returned so only if no rule could tell. With no rules at all, only flatten closes the position.

    `ratio` is the broker's shares as a multiple of the books'. If it isn't one, there may have been a split, which
    would change every price in the books, or there may not. The rules then close the position only if they would do
    so either way. If `clocks` didn't pass, we don't know how old the position is, and no rule that needs the time can
    close it. `session` is the trading session of `now`.
    """
    if state is TradingState.FLATTEN:
        return ExitCall(Decision(Gate.EXIT, Verdict.PASS, Reason.FLATTEN, state.value), None, (Part("flatten"),))
    price = exit_price(held.position, quote) if quote else None
    moment = Moment(now if clocks is None or clocks.passed else None, price, session)
    answers = _ask(held, moment, rules)
    unknown = tuple(dict.fromkeys(_unknown(rule, what, clocks) for rule, what in answers.absent))
    shares = answers.shares if answers.fired else None
    if price is not None and ratio > 0 and ratio != 1:
        other = _ask(held, replace(moment, price=price * ratio), rules)
        if bool(other.fired) is not bool(answers.fired):
            age_s = quote.age_s(now) if quote else None
            unproven = Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.SPLIT_UNPROVEN, ratio, 1, age_s)
            return ExitCall(unproven, unknown=unknown)
        shares = _fewer(shares, other.shares) if other.fired else None
    if answers.fired:
        why = tuple(fired.rule.part(held, fired.measure) for fired in answers.fired)
        by_price = all(isinstance(fired.rule, PriceRule) for fired in answers.fired)
        return ExitCall(_closing(held, answers.fired[0], quote, now), shares, why, unknown, by_price)
    blind = len(answers.absent) == len(rules)
    return ExitCall(_holding(held, quote, now, rules, unknown, blind=blind), unknown=unknown)


def is_blind(decision: Decision) -> bool:
    """Return True if a price or the time is missing, so that stops can't be judged.

    A position whose rules lack anything else has no stop by its owner's choice.
    """
    return decision.verdict is Verdict.UNKNOWN and decision.reason is not Reason.EXIT_INPUT_MISSING


def met(held: Held, price: Decimal, rules: Exits) -> Reason | None:
    """Return the reason of the strongest rule of price that closes the position at `price`, in USD; None if none."""
    by_price = tuple(rule for rule in rules if isinstance(rule, PriceRule))
    fired = _ask(held, Moment(price=price), by_price).fired
    return fired[0].rule.reason if fired else None


def _ask(held: Held, moment: Moment, rules: Iterable[ExitRule]) -> _Answers:
    """Ask every rule. Rules that close everything are stronger than those that close a part."""
    fired, absent = list[_Fired](), list[tuple[ExitRule, Input]]()
    for rule in rules:
        answer = rule.judge(held, moment)
        if isinstance(answer, Absent):
            absent.append((rule, answer.what))
        elif answer.closes:
            fired.append(_Fired(rule, answer))
    return _Answers(
        tuple(sorted(fired, key=_strength)), tuple(sorted(absent, key=lambda pair: (pair[0].rank, pair[0].reason)))
    )


def _strength(fired: _Fired) -> tuple[bool, Decimal, int, str]:
    shares = fired.measure.shares
    return shares is not None, -(shares or Decimal(0)), fired.rule.rank, fired.rule.reason


def _fewer(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Return the smaller number of shares, where None means all."""
    return min((shares for shares in (one, other) if shares is not None), default=None)


def _closing(held: Held, fired: _Fired, quote: Quote | None, now: datetime) -> Decision:
    """Return the decision to close; its age is the quote's if the rule looked at one, else the position's."""
    by_quote = quote if Input.QUOTE in fired.rule.needs else None
    age_s = by_quote.age_s(now) if by_quote else (now - held.position.opened_at).total_seconds()
    measure = fired.measure
    return Decision(Gate.EXIT, Verdict.PASS, fired.rule.reason, measure.observed, measure.limit, age_s)


def _unknown(rule: ExitRule, what: Input, clocks: Decision | None) -> Decision:
    if what is Input.QUOTE:
        return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    if what is Input.CLOCK and clocks is not None:
        return replace(clocks, gate=Gate.EXIT, verdict=Verdict.UNKNOWN)
    return Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.EXIT_INPUT_MISSING, what.value, rule.reason.value)


def _holding(
    held: Held, quote: Quote | None, now: datetime, rules: Exits, unknown: Sequence[Decision], *, blind: bool
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
