"""Displacement: when the book is full, decide which of a strategy's positions to close for a clearly better candidate.

This applies only to a candidate that is refused by the limits on open positions and by nothing else. A position without
an entry score is never closed for another, because a missing score isn't a weak one. The close's intent records which
symbol it makes room for (`displaced_by`), and cooldowns are computed from the books, so a restart changes nothing.
`min_age_s` must be below the strategy's time exit; otherwise no position would ever be old enough. It mustn't be below
the minimum holding time of the strategy's signal decay, which displacement would otherwise bypass.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain
from math import inf

from msgspec import Struct

from tradebot.exits.exit_rule import WatchedPosition, exit_price
from tradebot.gates.ask import Ask
from tradebot.gates.shared_gates import answer, check_cooldown, check_still_held, unresolved_for_exit, working_for_exit
from tradebot.model.books import Books
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, RiskBook
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.limits import DisplacementRules
from tradebot.model.position import ADOPTED, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

CAPACITY = (Gate.OPEN_POSITIONS, Gate.OWN_OPEN_POSITIONS)
"""The gates that fail only for lack of room, which closing a position provides."""


class Incumbent(Struct, frozen=True):
    """A position that might be closed for a candidate.

    `gain` is its gain if it is closed now, as a fraction of its entry price. `advantage` is how far the candidate's
    score exceeds the position's. Both are None if unknown. `refusal` says why it may not be closed.
    """

    position: Position
    gain: Decimal | None
    advantage: float | None
    refusal: Decision | None

    @property
    def rank(self) -> tuple[Decimal, datetime, float, str]:
        """Return its sort key for closing: worst gain first, then oldest, then lowest score."""
        assert self.gain is not None, "a position that may be replaced must have a gain"
        assert self.advantage is not None, "a position that may be replaced must have a score"
        return self.gain, self.position.opened_at, -self.advantage, self.position.symbol


class Displacement(Struct, frozen=True):
    """Which position to displace for a candidate: `weakest`, or None and the reasons why no position may be closed for
    it.
    """

    weakest: Incumbent | None
    refusals: tuple[Decision, ...] = ()


def lacks_only_room(candidate: Candidate, decisions: Iterable[Decision]) -> bool:
    """Return True if only the limits on open positions refuse an entry; targets have no score to compare."""
    failed = [decision for decision in decisions if not decision.passed]
    full = all(decision.gate in CAPACITY and decision.verdict is Verdict.FAIL for decision in failed)
    return bool(failed) and full and candidate.want is WantKind.OPEN


def choose_displaced(
    ask: Ask,
    failed: Sequence[Decision],
    rules: DisplacementRules,
    proposed: Iterable[Candidate],
    closing: Iterable[str] = (),
) -> Displacement:
    """Return which position to close for a candidate that `failed` for lack of room only.

    `proposed` are all candidates of the pass, with the current scores of positions. `closing` are the symbols of the
    strategy's positions that this pass has begun to close for others.
    """
    candidate, desk = ask.candidate, ask.desk
    given_way = dict(gave_way(desk.books, candidate.strategy))
    refused = _candidate_may(candidate, desk, rules, given_way, closing)
    if not refused.passed:
        return Displacement(None, (refused,))
    own = [position for position in desk.positions if position.strategy == candidate.strategy != ADOPTED]
    if not own:
        return Displacement(None, (Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.NOTHING_TO_DISPLACE, 0, 1),))
    scores = current_scores(proposed, candidate.strategy, ask.limits.min_coverage)
    incumbents = [_incumbent(ask, position, failed, rules, scores, given_way) for position in own]
    eligible = [incumbent for incumbent in incumbents if incumbent.refusal is None]
    if eligible:
        return Displacement(min(eligible, key=lambda incumbent: incumbent.rank))
    return Displacement(None, tuple(_by_cause(incumbents)))


def gave_way(books: Books, strategy: str) -> Iterator[tuple[str, datetime]]:
    """Yield the symbol of each position of a strategy that was displaced, and when, oldest first.

    The books cover one day. If a close never reached the venue, for example because the process was killed first,
    nothing was displaced.
    """
    for record in books.intents:
        intent = record.intent
        sent = intent.makes_order and record.state is not IntentState.ABANDONED
        if sent and intent.displaced_by and intent.key.strategy == strategy:
            yield intent.instrument.symbol, intent.at


def giving_way(desk: Desk, strategy: str) -> frozenset[str]:
    """Return the symbols of a strategy's positions that are being displaced, with a close that is working or
    unresolved.
    """
    return frozenset(i.instrument.symbol for i in closing_for_others(desk) if i.key.strategy == strategy)


def closing_for_others(desk: Desk) -> Iterator[Intent]:
    """Yield the closes that displace positions and are working or unresolved."""
    working = (desk.books.intent_behind(order) for order in desk.orders)
    intents = (record.intent for record in chain(working, desk.books.unresolved_intents) if record)
    return (i for i in intents if i.displaced_by and i.operation is not Operation.CANCEL)


def current_scores(proposed: Iterable[Candidate], strategy: str, min_coverage: float) -> Mapping[str, Candidate]:
    """Return a strategy's candidates by symbol, leaving out those with too little data for a comparable score."""
    scored = (candidate for candidate in proposed if candidate.strategy == strategy and candidate.score is not None)
    opening = (candidate for candidate in scored if candidate.purpose is Purpose.OPEN)
    return {bid.symbol: bid for bid in opening if bid.coverage is None or bid.coverage >= min_coverage}


def position_strength(position: Position, entry_score: float | None, now: Candidate | None) -> float | None:
    """Return a position's current score in its own direction, or its entry score if no current one is known.

    Return None if there is no entry score, because a missing score isn't a weak one.
    """
    if entry_score is None:
        return None
    if now is None or now.score is None:
        return abs(entry_score)
    opening = Side.of(position.quantity)
    return abs(now.score) if now.side is opening else -abs(now.score)


def _candidate_may(
    candidate: Candidate,
    desk: Desk,
    rules: DisplacementRules,
    given_way: Mapping[str, datetime],
    closing: Iterable[str],
) -> Decision:
    """Fail if the candidate's own symbol was displaced recently, or if enough positions are being displaced already."""
    cooled = check_displacement_cooldown(given_way.get(candidate.symbol), desk.now, rules.cooldown_s)
    if not cooled.passed:
        return cooled
    under_way = len(giving_way(desk, candidate.strategy) | frozenset(closing))
    limit = rules.max_per_pass
    return answer(Gate.DISPLACEMENT, under_way < limit, Reason.DISPLACEMENT_PENDING, under_way, limit)


def _incumbent(
    ask: Ask,
    position: Position,
    failed: Sequence[Decision],
    rules: DisplacementRules,
    scores: Mapping[str, Candidate],
    given_way: Mapping[str, datetime],
) -> Incumbent:
    """Evaluate one position of the candidate's strategy as a possible replacement."""
    desk, symbol = ask.desk, position.symbol
    own = position_strength(position, desk.books.terms_of(position).entry_score, scores.get(symbol))
    assert ask.candidate.score is not None, "the score gate has passed"
    advantage = None if own is None else abs(ask.candidate.score) - own
    gain, priced = _gain(ask, position, rules.gain_band_fraction)
    decisions = (
        check_cooldown(Gate.DISPLACEMENT, Reason.POSITION_TOO_YOUNG, position.opened_at, desk.now, rules.min_age_s),
        check_displacement_cooldown(given_way.get(symbol), desk.now, rules.cooldown_s),
        _better(advantage, rules.score_advantage),
        priced,
        *closable_now(desk, position),
        *(_frees_room(ask.book, position, decision) for decision in failed),
    )
    refusal = next((each for each in decisions if not each.passed), None)
    return Incumbent(position, gain, advantage, replace(refusal, gate=Gate.DISPLACEMENT) if refusal else None)


def closable_now(desk: Desk, position: Position) -> Iterator[Decision]:
    """Yield the exit gates' decisions about closing a position now: an order that can't be sent frees no room."""
    side = Side.of(-position.quantity)
    yield check_still_held(desk, position.symbol, position.quantity)
    yield working_for_exit(desk.book, position.strategy, position.symbol, side)
    yield unresolved_for_exit(desk.books, position.strategy, position.symbol)
    ratio = desk.position_ratios.get(position.symbol, Decimal(1))
    if ratio != 1:
        yield Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.SPLIT_UNPROVEN, ratio, 1)


def _frees_room(book: RiskBook, position: Position, failed: Decision) -> Decision:
    """Fail if a limit on open positions would still refuse the candidate after the position is closed."""
    assert isinstance(failed.observed, int), "positions are counted"
    assert isinstance(failed.limit, int), "positions are counted"
    others = any(stake.symbol == position.symbol and stake.strategy != position.strategy for stake in book.stakes)
    shared = failed.gate is Gate.OPEN_POSITIONS and (others or position.symbol in book.foreign)
    after = failed.observed if shared else failed.observed - 1
    return answer(Gate.DISPLACEMENT, after <= failed.limit, Reason.FREES_NO_ROOM, after, failed.limit)


def _gain(ask: Ask, position: Position, band: Decimal) -> tuple[Decimal | None, Decision]:
    """Return a position's gain if it were closed now, and whether that is within the band."""
    quote = ask.desk.quotes.get(position.symbol)
    if quote is None:
        return None, Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, band)
    gain = WatchedPosition(position, position.average_price).gain(exit_price(position, quote))
    age, limit = quote.age_s(ask.desk.now), ask.limits.max_quote_age_s
    if not -ask.limits.max_clock_skew_s <= age <= limit:
        return gain, Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.QUOTE_STALE, age, limit, age)
    return gain, answer(Gate.DISPLACEMENT, abs(gain) <= band, Reason.GAIN_OUTSIDE_BAND, gain, band, age)


def check_displacement_cooldown(last: datetime | None, now: datetime, limit: int) -> Decision:
    """Fail while a displaced symbol's cooldown lasts; `limit` is in seconds."""
    waited_s = (now - last).total_seconds() if last else None
    return answer(Gate.DISPLACEMENT, waited_s is None or waited_s >= limit, Reason.DISPLACED_LATELY, waited_s, limit)


def _better(advantage: float | None, limit: float) -> Decision:
    if advantage is None:
        return Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.SCORE_UNKNOWN, None, limit)
    return answer(Gate.DISPLACEMENT, advantage >= limit, Reason.SCORE_ADVANTAGE_TOO_SMALL, advantage, limit)


def _by_cause(incumbents: Iterable[Incumbent]) -> Iterator[Decision]:
    """Yield one decision per cause, the most frequent first; each is from the position closest to being replaced."""
    ends = [incumbent.refusal for incumbent in incumbents if incumbent.refusal]
    counted = Counter(refusal.reason for refusal in ends)
    for reason, _ in counted.most_common():
        alike = (end for end in ends if end.reason is reason)
        yield min(alike, key=lambda position: inf if position.distance is None else position.distance)
