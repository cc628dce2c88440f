"""Decide the passes of a span with something changed, each on the desk that the ones before it would have left.

An order that only the change sends counts as filled at once, and stays held until a rule of price or time would close
it in a later pass; one that the change keeps back was never sent. Candidates that the change can't touch aren't asked
again: they end where they ended.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import MsgspecError, Struct, msgpack

from tradebot.exits.kind import Held, best_price, exit_price
from tradebot.exits.rules import judge
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent
from tradebot.model.reason_codes import Reason
from tradebot.model.trading import TradingState
from tradebot.model.values import replace
from tradebot.ports.world import Rules
from tradebot.replaying.desk_changes import Filled, with_filled, with_round_trip, without_order
from tradebot.replaying.passes import Recorded, Surroundings, glance
from tradebot.replaying.supposed import decided, supposed_tape
from tradebot.replaying.writing import RecordError

Key = tuple[str, str, Purpose]
"""Strategy, symbol and purpose of a candidate."""


class Ended(NamedTuple):
    """Where a candidate ended: the gate, which of a strategy's questions, and the reason; all empty if it was sent."""

    gate: str = ""
    about: str = ""
    reason: str = ""


SENT, SHADOW = Ended(), Reason.SHADOW.value
"""Where an order ends that goes out; in shadow it gets as far, and nothing is ever sent."""
Ends = Mapping[Key, Ended]


class Passed(NamedTuple):
    """One pass of a span: where its candidates ended and would end, and the orders that only one of both sends."""

    then: Ends
    now: Ends
    more: tuple[Filled, ...] = ()
    fewer: tuple[Filled, ...] = ()


class Carrying:
    """What the passes so far would have left otherwise: orders that fill, and those that were never sent."""

    def __init__(self) -> None:
        self._open: list[Filled] = []
        self._closed: list[tuple[Filled, Filled]] = []
        self._unsent: list[Filled] = []
        self._best: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._open or self._closed or self._unsent)

    def onto(self, desk: Desk, rules: Rules) -> Desk:
        """Return the desk of a later pass as they would have left it; what a rule closes by now is closed."""
        for one in self._unsent:
            desk = without_order(desk, one)
        for entry, close in self._closed:
            desk = with_round_trip(desk, entry, close)
        bought = desk
        for one in self._open:
            bought = with_filled(bought, one)
        found = [(one, self._close(bought, one, rules)) for one in self._open]
        closed = [(entry, close) for entry, close in found if close]
        if not closed:
            return bought
        gone = [entry for entry, _ in closed]
        self._open = [one for one in self._open if one not in gone]
        self._closed += closed
        for entry, close in closed:
            desk = with_round_trip(desk, entry, close)
        for one in self._open:
            desk = with_filled(desk, one)
        return desk

    def after(self, more: Sequence[Filled], fewer: Sequence[Filled]) -> None:
        """Take over the orders that only one of both sends."""
        self._open += more
        self._unsent += fewer

    def _close(self, desk: Desk, one: Filled, rules: Rules) -> Filled | None:
        """Return the order that closes a position by now, if a rule of price or time would; None if none would."""
        intent = one.intent
        position = next((each for each in desk.positions if each.whose == intent.whose), None)
        quote = desk.quotes.get(one.symbol)
        if position is None or quote is None or intent.purpose is not Purpose.OPEN:
            return None
        kept = desk.books.kept_of(position)
        best = best_price(position, quote, self._best.get(intent.client_order_id, kept.best))
        self._best[intent.client_order_id] = best
        held, exits = Held(position, best, replace(kept, best=best)), rules.exits_watching(position, kept)
        call = judge(held, quote, desk.now, exits, TradingState.ACTIVE, session=desk.session)
        if not call.decision.passed:
            return None
        closing = replace(intent, purpose=Purpose.CLOSE, side=Side.of(-position.quantity), at=desk.now)
        return Filled(closing, exit_price(position, quote))


def _touch(desk: Desk, intent: Intent) -> Any:
    """Return the price at which an order fills at once: that of the other side of the quote, within its limit."""
    quote, limit = desk.quotes.get(intent.instrument.symbol), intent.limit_price
    if quote is None:
        assert limit is not None, "an order without a quote has a limit"
        return limit
    touch = quote.ask if intent.side is Side.BUY else quote.bid
    if limit is None:
        return touch
    return min(touch, limit) if intent.side is Side.BUY else max(touch, limit)


class Changed(NamedTuple):
    """A record with what is changed, and the rules to decide it by.

    It is `whole` if it has all candidates, those too that their strategies' own filters refused.
    """

    recorded: Recorded
    rules: Rules
    whole: bool = True


Body = tuple[bytes, Sequence[bytes]]


class OverSpan:
    """Decides the passes of a span, oldest first, each on what the ones before it would have left.

    `change` reads a pass and changes it. It is only asked for passes that the change `touches`, by what they decided by
    and where their candidates ended.
    """

    def __init__(self, change: Callable[[Body], Changed], touches: Callable[[Surroundings, Ends], bool]) -> None:
        self._change, self._touches = change, touches
        self._carrying = Carrying()

    def passed(self, body: Body) -> Passed:
        """Return what becomes of the next pass; RecordError if its record can't be used, which changes nothing."""
        around, outcome = glance(*body)
        then = ended_in(outcome)
        return self._passed(self._change(body), then) if self._touches(around, then) else Passed(then, then)

    def _passed(self, changed: Changed, then: Ends) -> Passed:
        recorded, rules, carrying = changed.recorded, changed.rules, self._carrying
        desk = carrying.onto(recorded.given.desk, rules) if carrying else recorded.given.desk
        given, rest = replace(recorded.given, desk=desk), dict[Key, Ended]() if changed.whole else dict(then)
        if given.proposed is not None and not compares(rules):
            refused = [one for one in given.proposed.candidates if first_failure(one.decisions)]
            left = tuple(one for one in given.proposed.candidates if not first_failure(one.decisions))
            rest |= {key: _as_before(_end(one.decisions), then.get(key)) for one in refused for key in (_key(one),)}
            given = replace(given, proposed=replace(given.proposed, candidates=left))
        found = decided(replace(recorded, given=given), rules)
        now = rest | {_key(one.candidate): _end(one.decisions) for one in found.cycle.candidates}
        before = {one.client_order_id: one for one in supposed_tape(recorded).sent_then}
        after = {one.client_order_id: one for one in found.sent}
        more = [Filled(one, _touch(desk, one)) for name, one in after.items() if not _same(one, before.get(name))]
        fewer = [Filled(one, _touch(desk, one)) for name, one in before.items() if not _same(one, after.get(name))]
        carrying.after(more, fewer)
        return Passed(then, now, tuple(more), tuple(fewer))


def _as_before(end: Ended, then: Ended | None) -> Ended:
    """Return where a candidate ends that its strategy's filters refuse: what refused it before them still does."""
    before_filters = then is not None and then != SENT and Gate(then.gate).place < Gate.STRATEGY.place
    return then if before_filters and then is not None else end


def _same(one: Intent, other: Intent | None) -> bool:
    return other is not None and (one.quantity, one.limit_price) == (other.quantity, other.limit_price)


def compares(rules: Rules) -> bool:
    """Return True if what becomes of a candidate depends on those that a strategy's own filters refuse."""
    every = (rules.displacement, *(own.displacement or own.auction for own in rules.own.values()))
    return any(one is not None for one in every)


def _key(candidate: Candidate) -> Key:
    return candidate.strategy, candidate.symbol, candidate.purpose


def _end(decisions: Sequence[Decision]) -> Ended:
    failed = first_failure(tuple(decisions))
    if failed is None or failed.reason is Reason.SHADOW:
        return SENT
    return Ended(failed.gate.value, failed.about, failed.reason.value if failed.reason else "")


class _Decision(Struct):
    """What is read of a decision to know where its candidate ended."""

    gate: str
    verdict: str
    reason: str | None
    about: str = ""


class _Instrument(Struct):
    symbol: str


class _Candidate(Struct):
    strategy: str
    instrument: _Instrument
    purpose: Purpose


class _Record(Struct):
    candidate: _Candidate
    decisions: list[_Decision]


class _Outcome(Struct):
    candidates: list[_Record]


_read = msgpack.Decoder(_Outcome).decode


def ended_in(outcome: bytes) -> Ends:
    """Return where the candidates of a recorded pass ended, without reading the rest; RecordError if it can't say."""
    try:
        found = _read(outcome)
    except MsgspecError as error:
        raise RecordError(f"it doesn't say what was decided: {error}") from error
    return {
        (one.candidate.strategy, one.candidate.instrument.symbol, one.candidate.purpose): _raw_end(one.decisions)
        for one in found.candidates
    }


def _raw_end(decisions: Sequence[_Decision]) -> Ended:
    for one in decisions:
        if one.verdict != "PASS":
            return SENT if one.reason == SHADOW else Ended(one.gate, one.about, one.reason or "")
    return SENT


def by_filters_alone(ends: Ends) -> bool:
    """Return True if a strategy's own filters refused every candidate of a pass, or there was none."""
    return all(end.gate == "strategy" for end in ends.values())
