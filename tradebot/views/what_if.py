"""Show what a pass would have decided with one change: which candidates would pass, and which would be refused."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Number
from tradebot.model.intent import Intent
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.replaying.strategy_replay import Unanswered
from tradebot.views.explain import remedy_of

Key = tuple[str, str, Purpose]
"""Strategy, symbol and purpose of a candidate."""


class WhatIfChange(Struct, frozen=True):
    """One change to a setting, a price, a position or the time, with the values before and after it as people write
    them.

    `before` is empty if it differs from pass to pass.
    """

    what: str
    before: str
    after: str


class WhatIfEnd(Struct, frozen=True):
    """Where a candidate ended: the gate that refused it first, with its numbers."""

    gate: str
    about: str
    reason: str
    meaning: str
    observed: Number | str | None
    limit: Number | str | None


class WhatIfOrder(Struct, frozen=True):
    """A hypothetical order: unsigned shares, limit price (None at the market), and value in USD."""

    strategy: str
    symbol: str
    side: Side
    purpose: Purpose
    quantity: Decimal
    price: Decimal | None
    notional_usd: Decimal | None
    client_order_id: str


class CandidateResult(Struct, frozen=True):
    """A candidate's result: `sent`, or where it ended; `others` are further gates that refuse it.

    It is `absent` if there is no such candidate.
    """

    sent: bool = False
    end: WhatIfEnd | None = None
    others: tuple[WhatIfEnd, ...] = ()
    order: WhatIfOrder | None = None
    absent: bool = False


class WhatIfOutcome(Struct, frozen=True):
    """A candidate with its recorded outcome and its hypothetical one."""

    strategy: str
    symbol: str
    side: Side
    purpose: Purpose
    then: CandidateResult
    now: CandidateResult

    @property
    def same(self) -> bool:
        """Return True if both outcomes are the same, with the same order."""
        return _what(self.then) == _what(self.now)


class WhatIf(Struct, frozen=True):
    """What a recorded pass would have decided with changed settings.

    `left_out` are the changed settings that can't be applied to the pass, or only in part. `unasked` are strategies
    that can't be run again with their changed settings. `about` are the outcomes of the selected symbol, `changed` are
    all outcomes that differ, and `same` is how many outcomes don't differ. `otherwise` is True if this version of the
    program decides the pass differently even without a change.
    """

    id: str
    session: date
    at: datetime
    symbol: str | None
    sentence: str
    remedy: str
    changes: tuple[WhatIfChange, ...]
    left_out: tuple[Unanswered, ...]
    unasked: tuple[str, ...]
    about: tuple[WhatIfOutcome, ...]
    changed: tuple[WhatIfOutcome, ...]
    same: int
    orders_then: int
    orders_now: int
    otherwise: bool = False

    @property
    def lets_through(self) -> bool:
        """Return True if the change sends an order that wasn't sent before; with a selected symbol, an order in it."""
        what_if_outcomes = self.about if self.symbol else self.changed
        return any(outcome.now.sent and not outcome.then.sent for outcome in what_if_outcomes)


def what_if(
    then: CycleRecord,
    now: CycleRecord,
    sent: tuple[Sequence[Intent], Sequence[Intent]],
    changes: Sequence[WhatIfChange],
    *,
    symbol: str | None = None,
    left_out: Sequence[Unanswered] = (),
    unasked: Sequence[str] = (),
) -> WhatIf:
    """Compare a pass as recorded with the same pass after the change; `sent` has the orders of both."""
    outcomes = list(outcomes_of(then, now, sent))
    changed = tuple(outcome for outcome in outcomes if not outcome.same)
    about = tuple(outcome for outcome in outcomes if outcome.symbol == symbol)
    data = WhatIf(
        id=then.id,
        session=then.session,
        at=now.at,
        symbol=symbol,
        sentence="",
        remedy="",
        changes=tuple(changes),
        left_out=tuple(left_out),
        unasked=tuple(unasked),
        about=about,
        changed=changed,
        same=len(outcomes) - len(changed),
        orders_then=sum(outcome.then.sent for outcome in outcomes),
        orders_now=sum(outcome.now.sent for outcome in outcomes),
    )
    sentence, remedy = _of_symbol(symbol, about, now) if symbol else _of_pass(data, now)
    return replace(data, sentence=sentence, remedy=remedy)


def outcomes_of(
    then: CycleRecord, now: CycleRecord, sent: tuple[Sequence[Intent], Sequence[Intent]]
) -> Iterator[WhatIfOutcome]:
    """Yield each candidate of either pass with both outcomes, in the order of evaluation."""
    before, after = (_by_key(cycle, orders) for cycle, orders in zip((then, now), sent, strict=True))
    candidates = {key_of(record.candidate): record.candidate for cycle in (then, now) for record in cycle.candidates}
    for key in dict.fromkeys((*after, *before)):
        candidate = candidates[key]
        nothing = CandidateResult(absent=True)
        yield WhatIfOutcome(
            candidate.strategy, candidate.symbol, candidate.side, candidate.purpose,
            before.get(key, nothing), after.get(key, nothing),
        )  # fmt: skip


def key_of(candidate: Candidate) -> Key:
    """Return the key that identifies a candidate within its pass."""
    return candidate.strategy, candidate.symbol, candidate.purpose


def _by_key(cycle: CycleRecord, sent: Sequence[Intent]) -> Mapping[Key, CandidateResult]:
    orders = {intent.client_order_id: intent for intent in sent}
    return {
        key_of(candidate.candidate): _result(candidate, orders.get(candidate.client_order_id or ""))
        for candidate in cycle.candidates
    }


def _result(record: CandidateRecord, intent: Intent | None) -> CandidateResult:
    # In shadow mode an order gets this far, and nothing is ever sent.
    failed = [
        end_of(decision)
        for decision in record.decisions
        if not decision.passed and decision.reason is not Reason.SHADOW
    ]
    order = order_of(intent) if intent else None
    return CandidateResult(not failed, failed[0] if failed else None, tuple(failed[1:]), order)


def end_of(decision: Decision) -> WhatIfEnd:
    """Return the outcome of a candidate whose first failed decision is this one."""
    reason = decision.reason
    meaning = REASONS[reason].meaning if reason else ""
    return WhatIfEnd(decision.gate, decision.about, reason or "", meaning, decision.observed, decision.limit)


def order_of(intent: Intent) -> WhatIfOrder:
    """Return a new order as a row to show."""
    price = intent.limit_price if intent.limit_price is not None else intent.send_mid
    notional = None if price is None else intent.instrument.notional(intent.quantity, price)
    return WhatIfOrder(
        intent.key.strategy, intent.instrument.symbol, intent.side, intent.purpose, intent.quantity,
        intent.limit_price, notional, intent.client_order_id,
    )  # fmt: skip


def _what(fate: CandidateResult) -> tuple[object, ...]:
    end, order = fate.end, fate.order
    outcome = (end.gate, end.about, end.reason) if end else ()
    return fate.absent, fate.sent, outcome, (order.quantity, order.price, order.side) if order and fate.sent else ()


def _of_symbol(symbol: str, about: Sequence[WhatIfOutcome], now: CycleRecord) -> tuple[str, str]:
    if not about:
        return f"No strategy proposed {symbol} in this pass, and with this change none would.", "tradebot score"
    best = max(about, key=lambda outcome: (outcome.now.sent, outcome.purpose is Purpose.OPEN))
    then, end = best.then, best.now.end
    if best.now.sent:
        return ("It was sent then, and would be again." if then.sent else "Its order would be sent."), ""
    if best.now.absent or end is None:
        return f"With this change no strategy would propose {symbol}.", ""
    remedy = _remedy(best, now)
    if then.sent:
        return f"Its order wouldn't be sent: {_gate_text(end)} would refuse it. {end.meaning}", remedy
    if best.same:
        return f"Nothing changes for it: {_gate_text(end)} refuses it as before. {end.meaning}", remedy
    return f"It would still be refused, by {_gate_text(end)} next. {end.meaning}", remedy


def _of_pass(data: WhatIf, now: CycleRecord) -> tuple[str, str]:
    refused = now.job_decision
    if refused is not None and refused.reason is not None:
        reason = REASONS[refused.reason]
        return f"The pass itself would be refused. {reason.meaning}", reason.remedy
    if not data.changed:
        return no_difference(whole=not (data.left_out or data.unasked)), ""
    more = sum(outcome.now.sent and not outcome.then.sent for outcome in data.changed)
    fewer = sum(outcome.then.sent and not outcome.now.sent for outcome in data.changed)
    resized = sum(outcome.then.sent and outcome.now.sent for outcome in data.changed)
    others = len(data.changed) - more - fewer - resized
    parts = [f"{pluralize(more, 'more order')} would be sent"] if more else []
    parts += [f"{pluralize(fewer, 'order')} wouldn't be sent"] if fewer else []
    parts += [f"{pluralize(resized, 'order')} would have a different size or price"] if resized else []
    parts += (
        [f"{pluralize(others, 'other candidate' if parts else 'candidate')} would have a different result"]
        if others
        else []
    )
    return f"{', and '.join((', '.join(parts[:-1]), parts[-1])) if parts[1:] else parts[0]}.", ""


def no_difference(*, whole: bool) -> str:
    """Return the sentence for a change without effect; if not `whole`, part of the change couldn't be evaluated."""
    if whole:
        return "Nothing changes: every candidate has its recorded result."
    return (
        "The effect of this change isn't known: not all of it could be evaluated again, and the evaluated "
        "part changes nothing."
    )


def _gate_text(end: WhatIfEnd) -> str:
    return f"{end.gate}: {end.about}" if end.about else end.gate


def _remedy(outcome: WhatIfOutcome, now: CycleRecord) -> str:
    records = (
        each for each in now.candidates if key_of(each.candidate) == (outcome.strategy, outcome.symbol, outcome.purpose)
    )
    end = next(records).terminal
    return remedy_of(end.reason, [end]) if end and end.reason else ""
