"""Replay the passes of a period with a change, each on the desk that earlier changed passes would have left.

An order that is sent only because of the change counts as filled at once, and its position stays open until a rule
would close it. A time rule closes it in the first exit pass in which the rule is due. A price rule closes it in an
entry pass, because entry passes have the prices of all symbols. An order that the change suppresses was never sent.
Candidates that the change can't affect keep their results.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec import MsgspecError, Struct, msgpack

from tradebot.exits.exit_rule import WatchedPosition, best_price, exit_price
from tradebot.exits.rules import evaluate_rules
from tradebot.model.bar import Quote, Session
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.desk import Desk
from tradebot.model.intent import Intent
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.ports.world import Rules
from tradebot.replaying.desk_changes import Filled, Unsent, with_filled, with_round_trip, without_order
from tradebot.replaying.hypothetical_ports import decide, supposed_tape
from tradebot.replaying.passes import RecordedCycle, RecordEnvironment, glance
from tradebot.replaying.record_writer import RecordError

Key = tuple[str, str, Purpose]
"""Strategy, symbol and purpose of a candidate."""


class CandidateEnd(NamedTuple):
    """Where a candidate ended: the gate, the strategy's filter, and the reason; all empty if it was sent."""

    gate: str = ""
    about: str = ""
    reason: str = ""


SENT, SHADOW = CandidateEnd(), Reason.SHADOW.value
"""The ends of a sent order; in shadow it gets as far, but isn't sent."""
Ends = Mapping[Key, CandidateEnd]


class ReplayedCycle(NamedTuple):
    """One pass of a period: its candidates' results before and after the change, and the orders that only one has."""

    then: Ends
    now: Ends
    more: tuple[Filled, ...] = ()
    fewer: tuple[Filled, ...] = ()


class ExitPassMoment(NamedTuple):
    """An exit pass: when it evaluated the rules, and its session."""

    at: datetime
    session: Session | None


class SpanState:
    """The state that earlier changed passes would have left: orders that fill, and those never sent.

    `looks` has the exit passes in the period, oldest first.
    """

    def __init__(self, looks: Sequence[ExitPassMoment] = ()) -> None:
        self._looks = looks
        self._open: list[Filled] = []
        self._closed: list[tuple[Filled, Filled]] = []
        self._unsent: list[Unsent] = []
        self._best: dict[str, Decimal] = {}
        self._seen: Desk | None = None
        self._base: Desk | None = None

    @property
    def holds(self) -> bool:
        """Return True if there is a position that the recorded pass didn't have."""
        return bool(self._open)

    def onto(self, desk: Desk, rules: Rules) -> Desk:
        """Apply changed positions to the desk of a later pass, without those that a rule has closed since."""
        for unsent in self._unsent:
            desk = without_order(desk, unsent)
        for entry, close in self._closed:
            desk = with_round_trip(desk, entry, close)
        self._base = bought = desk
        for filled in self._open:
            bought = with_filled(bought, filled)
        closings = [(holding, self._close(bought, holding, rules)) for holding in self._open]
        self._seen = desk
        closed = [(entry, close) for entry, close in closings if close]
        if not closed:
            return bought
        gone = [entry for entry, _ in closed]
        self._open = [holding for holding in self._open if holding not in gone]
        self._closed += closed
        for entry, close in closed:
            desk = with_round_trip(desk, entry, close)
        for filled in self._open:
            desk = with_filled(desk, filled)
        return desk

    def after(self, more: Sequence[Filled], fewer: Sequence[Filled], sent: Iterable[Intent] = ()) -> None:
        """Add the orders that a pass sends only with the change (`more`), and those that it sends only without it
        (`fewer`).

        `sent` are all orders of the record.
        """
        opened = [intent for intent in sent if intent.purpose is Purpose.OPEN]
        self._unsent = [self._until(unsent, opened) for unsent in self._unsent]
        self._open += more
        self._unsent += [self._not_sent(filled) for filled in fewer]

    def _until(self, unsent: Unsent, opened: Sequence[Intent]) -> Unsent:
        holding = unsent.order.intent.holding
        later = min((intent.at for intent in opened if intent.holding == holding), default=None)
        return unsent if unsent.next_at or later is None else replace(unsent, next_at=later)

    def _not_sent(self, filled: Filled) -> Unsent:
        if self._base is None:
            return Unsent(filled)
        book, holding = self._base.book, filled.intent.holding
        times = (
            book.last_fill_at.get(filled.symbol),
            book.own_fill_at.get(holding),
            book.lost_at.get(holding),
        )
        return Unsent(filled, None, *times)

    def _close(self, desk: Desk, filled: Filled, rules: Rules) -> Filled | None:
        """Return the order that a rule would have closed a position with by now; None if none would."""
        intent = filled.intent
        position = next((each for each in desk.positions if each.holding == intent.holding), None)
        if position is None or intent.purpose is not Purpose.OPEN:
            return None
        quote, entry_terms = desk.quotes.get(filled.symbol), desk.books.terms_of(position)
        best = best_price(position, quote, self._best.get(intent.client_order_id, entry_terms.best))
        self._best[intent.client_order_id] = best
        watched, exits = (
            WatchedPosition(position, best, replace(entry_terms, best=best)),
            rules.exits_watching(position, entry_terms),
        )
        checks = [
            *((look, None) for look in self._since(filled, desk)),
            (ExitPassMoment(desk.now, desk.session), quote),
        ]
        for (at, session), quote_then in checks:
            call = evaluate_rules(watched, quote_then, at, exits, TradingState.ACTIVE, session=session)
            if call.decision.passed:
                closing = replace(intent, purpose=Purpose.CLOSE, side=Side.of(-position.quantity), at=at)
                near = self._nearest(desk, filled.symbol, at)
                return Filled(closing, exit_price(position, near) if near else filled.price)
        return None

    def _since(self, filled: Filled, desk: Desk) -> Iterator[ExitPassMoment]:
        """Yield the exit passes since the last entry pass, in which a position was open but its price is unknown."""
        last = self._seen.now if self._seen else filled.intent.at
        for look in self._looks[bisect_right(self._looks, max(last, filled.intent.at), key=lambda each: each.at) :]:
            if look.at >= desk.now:
                return
            yield look

    def _nearest(self, desk: Desk, symbol: str, at: datetime) -> Quote | None:
        """Return a symbol's quote nearest in time, from this entry pass or the one before; None if neither has one."""
        quotes = [each.quotes[symbol] for each in (desk, self._seen) if each and symbol in each.quotes]
        return min(quotes, key=lambda quote: abs(quote.at - at), default=None)


def _touch(desk: Desk, intent: Intent) -> Any:
    """Return the price at which an order fills at once: the other side of the quote, within its limit."""
    quote, limit = desk.quotes.get(intent.instrument.symbol), intent.limit_price
    if quote is None:
        assert limit is not None, "an order in a symbol without a quote must have a limit price"
        return limit
    touch = quote.ask if intent.side is Side.BUY else quote.bid
    if limit is None:
        return touch
    return min(touch, limit) if intent.side is Side.BUY else max(touch, limit)


class ChangedRecord(NamedTuple):
    """A record with the change applied, and its rules.

    It is `whole` if it has all candidates, including those that their strategies' own filters refused.
    """

    recorded: RecordedCycle
    rules: Rules
    whole: bool = True


Body = tuple[bytes, Sequence[bytes]]


class OverSpan:
    """Replays the passes of a period, oldest first, each on the state that earlier changed ones would have left.

    `change` reads a pass and changes it. It is called only for passes that the change `touches`, judging by their rules
    and results, and for all passes while a changed position is open, because any of them may close it. `looks` has the
    exit passes in the period, oldest first.
    """

    def __init__(
        self,
        change: Callable[[Body, RecordEnvironment], ChangedRecord],
        touches: Callable[[RecordEnvironment, Ends], bool],
        looks: Sequence[ExitPassMoment] = (),
    ) -> None:
        self._change, self._touches = change, touches
        self._carrying = SpanState(looks)

    def replay_next(self, body: Body) -> ReplayedCycle:
        """Return the next pass's result; raise RecordError, changing nothing, if its record is unusable."""
        around, outcome = glance(*body)
        then = ended_in(outcome)
        if self._touches(around, then):
            return self._replay_cycle(self._change(body, around), then)
        if self._carrying.holds:
            changed = self._change(body, around)
            self._carrying.onto(changed.recorded.given.desk, changed.rules)
        return ReplayedCycle(then, then)

    def _replay_cycle(self, changed: ChangedRecord, then: Ends) -> ReplayedCycle:
        recorded, rules, carrying = changed.recorded, changed.rules, self._carrying
        desk = carrying.onto(recorded.given.desk, rules)
        inputs, rest = replace(recorded.given, desk=desk), dict[Key, CandidateEnd]() if changed.whole else dict(then)
        if inputs.proposed is not None and not compares(rules):
            refused = [candidate for candidate in inputs.proposed.candidates if first_failure(candidate.decisions)]
            remaining = tuple(
                candidate for candidate in inputs.proposed.candidates if not first_failure(candidate.decisions)
            )
            rest |= {
                key: _as_before(_end(refusal.decisions), then.get(key))
                for refusal in refused
                for key in (_key(refusal),)
            }
            inputs = replace(inputs, proposed=replace(inputs.proposed, candidates=remaining))
        decided = decide(replace(recorded, given=inputs), rules)
        now = rest | {_key(record.candidate): _end(record.decisions) for record in decided.cycle.candidates}
        before = {intent.client_order_id: intent for intent in supposed_tape(recorded).sent_then}
        after = {intent.client_order_id: intent for intent in decided.sent}
        more = [
            Filled(price, _touch(desk, price)) for name, price in after.items() if not _same(price, before.get(name))
        ]
        fewer = [
            Filled(price, _touch(desk, price)) for name, price in before.items() if not _same(price, after.get(name))
        ]
        carrying.after(more, fewer, before.values())
        return ReplayedCycle(then, now, tuple(more), tuple(fewer))


def _as_before(end: CandidateEnd, then: CandidateEnd | None) -> CandidateEnd:
    """Return where a candidate ends that its strategy's filters refuse: at `end`, or at an earlier gate as before."""
    before_filters = then is not None and then != SENT and Gate(then.gate).place < Gate.STRATEGY.place
    return then if before_filters and then is not None else end


def _same(intent: Intent, other: Intent | None) -> bool:
    return other is not None and (intent.quantity, intent.limit_price) == (other.quantity, other.limit_price)


def compares(rules: Rules) -> bool:
    """Return True if a candidate's result may depend on candidates that a strategy's own filters refuse."""
    every = (rules.displacement, *(own.displacement or own.auction for own in rules.own.values()))
    return any(value is not None for value in every)


def _key(candidate: Candidate) -> Key:
    return candidate.strategy, candidate.symbol, candidate.purpose


def _end(decisions: Sequence[Decision]) -> CandidateEnd:
    failed = first_failure(tuple(decisions))
    if failed is None or failed.reason is Reason.SHADOW:
        return SENT
    return CandidateEnd(failed.gate.value, failed.about, failed.reason.value if failed.reason else "")


class _Decision(Struct, gc=False):
    """The fields of a decision that show where its candidate ended. These objects never form cycles."""

    gate: str
    verdict: str
    reason: str | None
    about: str = ""


class _Instrument(Struct, gc=False):
    symbol: str


class _Candidate(Struct, gc=False):
    strategy: str
    instrument: _Instrument
    purpose: Purpose


class _Record(Struct, gc=False):
    candidate: _Candidate
    decisions: list[_Decision]


class _Outcome(Struct, gc=False):
    candidates: list[_Record]


_read = msgpack.Decoder(_Outcome).decode


def ended_in(outcome: bytes) -> Ends:
    """Return where a recorded pass's candidates ended, without reading other parts of the record; raise RecordError if
    it is damaged.
    """
    try:
        document = _read(outcome)
    except MsgspecError as error:
        raise RecordError("its record doesn't say what was decided: it is damaged") from error
    return {
        (candidate.candidate.strategy, candidate.candidate.instrument.symbol, candidate.candidate.purpose): _raw_end(
            candidate.decisions
        )
        for candidate in document.candidates
    }


def _raw_end(decisions: Sequence[_Decision]) -> CandidateEnd:
    for answer in decisions:
        if answer.verdict != "PASS":
            return SENT if answer.reason == SHADOW else CandidateEnd(answer.gate, answer.about, answer.reason or "")
    return SENT


def by_filters_alone(ends: Ends) -> bool:
    """Return True if strategies' own filters refused every candidate of a pass, or if it had no candidates."""
    return all(end.gate == "strategy" for end in ends.values())
