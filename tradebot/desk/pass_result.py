"""Finish a pass: emit its events, including gaps in protection, and record it.

A gap is reported when it begins, and with its duration when it ends. Each exit pass records the gaps that remain, so
that the next exit pass knows which gaps are new.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.desk.pass_events import emit_pass_events, gap_began
from tradebot.desk.proposals import Proposals
from tradebot.exits.exit_rule import exit_price
from tradebot.gates.portfolio_limits import closed_by
from tradebot.gates.shared_gates import clocks_agree
from tradebot.model.bar import UNCONFIRMED
from tradebot.model.books import Books
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.event import EventKind, SystemEvent
from tradebot.model.intent import IntentState, Operation
from tradebot.model.order import OrderStatus
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import (
    DOUBTED,
    EXITING,
    NOT_PLACED,
    CandidateRecord,
    CycleRecord,
    ExitPrice,
    Gap,
    Job,
    StrategyRefusal,
)
from tradebot.model.resting_orders import HoldingKey, Resting, resting_among
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Call, World
from tradebot.reconciliation.new_fills import reported_fills, seen_fills
from tradebot.reconciliation.protection import closed_by_others, protection_gaps
from tradebot.reconciliation.read_books import read_books

LOOKED_BACK = (3, 3_000)
"""How many records are searched for the last pass that checked for gaps: few at first, more if none of these did."""
DAY = timedelta(days=1)
NOTHING = Decimal(0)
WHY_FREED: Mapping[Reason | None, str] = {
    Reason.EXIT_NEEDS_SHARES: EXITING,
    Reason.STOP_TIGHTENED: OrderStatus.CANCELED.value,
    Reason.STOP_RESIZED: OrderStatus.CANCELED.value,
}
"""Reasons for which a pass cancels a stop that could trigger, and the cause of the gap that is reported."""
GapByPosition = Mapping[HoldingKey, Gap]


def finish_pass(
    world: World, call: Call, desk: Desk, records: tuple[CandidateRecord, ...], proposed: Proposals
) -> CycleRecord:
    cycle = replace(
        _cycle(world, call, desk),
        candidates=records,
        refused_strategies=proposed.refused,
        waiting=proposed.own.waiting,
        code=proposed.code,
        closed=tuple(closed_by(desk.book, world.rules.limits, desk.now)),
    )
    emit_pass_events(world, desk, cycle)
    opened = () if world.dry_run else tuple(_gaps_opened(world, desk, cycle).values())
    return world.record(replace(cycle, gaps=opened) if opened else cycle)


def finish_declined_pass(
    world: World, call: Call, now: datetime, records: tuple[CandidateRecord, ...], proposed: Proposals
) -> CycleRecord:
    """Record an entry pass whose strategies declined every candidate, so that no desk was taken."""
    cycle = CycleRecord(call.cycle_id, call.job, call.session, call.slot, now, world.mode_name, records)
    waiting, code = proposed.own.waiting, proposed.code
    return world.record(replace(cycle, refused_strategies=proposed.refused, waiting=waiting, code=code))


def finish_exit_pass(world: World, call: Call, desk: Desk, records: tuple[CandidateRecord, ...]) -> CycleRecord:
    cycle = replace(_cycle(world, call, desk), candidates=records, refused_strategies=tuple(_unknown(desk)))
    emit_pass_events(world, desk, cycle)
    return world.record(cycle if world.dry_run else with_gaps(world, desk, cycle))


def _unknown(desk: Desk) -> Iterator[StrategyRefusal]:
    """Yield the positions for which no exit can be sent, because their instrument is unknown."""
    for position in desk.positions:
        if desk.listing_of(position) is None:
            unknown = Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.INSTRUMENT_UNKNOWN, None, position.quantity)
            yield StrategyRefusal(position.strategy, unknown, position.symbol)


def refuse_pass(
    world: World, call: Call, desk: Desk, decision: Decision, done: tuple[CandidateRecord, ...] = ()
) -> CycleRecord:
    """Record that the pass is refused, because the session is closed.

    The pass may have yielded to exits before the session closed; `done` are the records of orders that it had sent or
    canceled by then.
    """
    refused = replace(decision, gate=Gate.JOB)
    cycle = replace(_cycle(world, call, desk), candidates=done, job_decision=refused)
    if done:
        emit_pass_events(world, desk, cycle)
    return world.record(cycle)


def _cycle(world: World, call: Call, desk: Desk) -> CycleRecord:
    priced = ((position, desk.quotes.get(position.symbol)) for position in desk.positions)
    quoted = [(position, quote) for position, quote in priced if quote]
    return CycleRecord(
        call.cycle_id,
        call.job,
        call.session,
        call.slot,
        desk.now,
        world.mode_name,
        dry_run=world.dry_run,
        equity=desk.account.equity,
        marks=tuple(ExitPrice(p.symbol, exit_price(p, quote)) for p, quote in quoted),
        # After the close, some venues already report the account's value at the close.
        last_close=desk.account.last_equity if desk.session and desk.session.contains(desk.now) else None,
        margin=desk.book.margin.as_observed(desk.book.equity) if desk.book.margin else None,
        quoted_at=min((quote.at for _, quote in quoted), default=None),
        doubted=tuple(sorted({p.symbol for p, _ in quoted if desk.rejected_quotes.get(p.symbol) == UNCONFIRMED})),
        differing=desk.differences,
        clock_ahead_s=None if clocks_agree(desk.clock_ahead_s, world.rules.limits).passed else desk.clock_ahead_s,
    )


def with_gaps(world: World, desk: Desk, cycle: CycleRecord) -> CycleRecord:
    """Return the record of an exit pass with the gaps in protection that remain; report gaps that began or ended."""
    last = _last_gap_check(world, cycle)
    opened, earlier = _gaps_opened(world, desk, cycle), _earlier_gaps(world, desk, last)
    books, resting = _as_filled(desk, desk.books), desk.resting
    met = {
        holding: _with_earliest_start(gap, last, books)
        for holding, gap in _gaps_found(world, desk, books, resting).items()
    }
    remaining: GapByPosition = met
    if any(record.decisions[-1].gate is Gate.SEND for record in cycle.candidates):
        books = read_books(world.ledger, desk.now, world.venue.day).with_pending(desk.books.pending)
        books = _as_filled(desk, replace(books, doubted=desk.books.doubted))
        resting = resting_among(books, books.working)
        remaining = _gaps_found(world, desk, books, resting)
        # A gap that this pass tried to close is still the same gap.
        remaining = {holding: replace(gap, since=met.get(holding, gap).since) for holding, gap in remaining.items()}
    all_gaps = {**opened, **earlier}
    at = desk.now + timedelta(seconds=world.stopwatch() - desk.taken_s)
    passing = {
        holding: gap
        for holding, gap in met.items()
        if holding not in {**remaining, **all_gaps} and _is_reported(world, gap, at)
    }
    # A stop on its way ends a reported gap only once the venue reports that it rests.
    lasting = {holding: gap for holding, gap in {**passing, **all_gaps}.items() if not _is_closed(gap, books, desk)}
    # A gap that was over when this pass began stays over, even while its moved stop is on its way.
    arriving = {holding for holding, pairs in resting.items() if any(pair.arrives for pair in pairs)}
    awaited = arriving & {*met, *opened}
    remaining = {
        **{holding: replace(gap, sent=True) for holding, gap in lasting.items() if holding in awaited},
        **remaining,
    }
    on = {holding for holding in all_gaps if holding in remaining and holding in lasting}
    now = tuple(
        replace(gap, since=all_gaps[holding].since) if holding in on else gap for holding, gap in remaining.items()
    )
    passed = [gap for holding, gap in passing.items() if holding not in remaining]
    # The pass that ended the gap may have been killed before it reported that.
    passed += [
        gap
        for gap in _gaps_missed(world, desk, last)
        if (gap.strategy, gap.symbol) not in {**all_gaps, **remaining, **met}
    ]
    for gap in (*passed, *(gap for holding, gap in remaining.items() if holding not in on)):
        world.events.emit(gap_began(gap, desk.now))
    for gap in (*passed, *(gap for holding, gap in all_gaps.items() if holding not in on)):
        world.events.emit(_gap_ended(gap, books, desk, at, resting))
    return replace(cycle, gaps=now)


def _gaps_opened(world: World, desk: Desk, cycle: CycleRecord) -> GapByPosition:
    """Return the gaps that this pass opened, because an exit or another stop needed the shares.

    Other shares of the position may have been without a stop when it began.
    """
    sent = (record for record in cycle.candidates if record.terminal is None)
    ended = (record for record in sent if record.candidate.source == Operation.CANCEL)
    freed = (
        (record.candidate, WHY_FREED[d.reason]) for record in ended for d in record.decisions if d.reason in WHY_FREED
    )
    opened = (
        Gap(candidate.strategy, candidate.symbol, candidate.quantity or Decimal(0), desk.now, why)
        for candidate, why in freed
    )
    worked = {holding for holding, pairs in desk.resting.items() if any(pair.can_trigger for pair in pairs)}
    at_work = {holding: gap for gap in opened if (holding := (gap.strategy, gap.symbol)) in worked}
    met = _gaps_found(world, desk, _as_filled(desk, desk.books), desk.resting) if at_work else {}
    return {
        holding: replace(gap, since=met[holding].since) if holding in met else gap for holding, gap in at_work.items()
    }


def _last_gap_check(world: World, cycle: CycleRecord) -> CycleRecord | None:
    """Return the last exit pass before this one that checked for gaps."""
    searched = (world.facts.last_passes(cycle.job, most) for most in LOOKED_BACK)
    looked = (
        [cycle_record for cycle_record in cycles if cycle_record.gaps is not None and cycle_record.id != cycle.id]
        for cycles in searched
    )
    return next((cycles[-1] for cycles in looked if cycles), None)


def _earlier_gaps(world: World, desk: Desk, last: CycleRecord | None) -> GapByPosition:
    """Return the gaps that the previous exit pass left, and those that entry passes opened since."""
    since = last.at if last else desk.now - DAY
    entries = (cycle for cycle in world.facts.passes(since) if cycle.job is Job.TRADE_ONCE)
    return {
        (gap.strategy, gap.symbol): gap for cycle in (*((last,) if last else ()), *entries) for gap in cycle.gaps or ()
    }


def _with_earliest_start(gap: Gap, last: CycleRecord | None, books: Books) -> Gap:
    """Return a gap that began at the last check, at the latest, if nobody can say when the stop ended.

    If the venue lists no fills of an order, its time is that of its last fill; the first came after it was sent.
    """
    position = books.totals.positions[gap.strategy, gap.symbol]
    reported = {
        owned.fill.venue_order_id for owned in books.pending if owned.fill.at == gap.since == position.opened_at
    }
    sent = [order.submitted_at for order in books.orders if order.venue_id in reported and order.submitted_at]
    gap = replace(gap, since=min([gap.since, *sent]))
    if gap.why != DOUBTED or last is None:
        return gap
    return replace(gap, since=max(min(last.at, gap.since), position.opened_at))


def _gaps_missed(world: World, desk: Desk, last: CycleRecord | None) -> Iterator[Gap]:
    """Yield gaps that no recorded pass has seen, of positions whose first stop came late."""
    for position in desk.positions:
        rests = [rest for rest in desk.resting.get(position.holding, ()) if rest.can_trigger]
        placed = min((at for rest in rests if (at := _placed_at(rest))), default=None)
        was_seen = position.opened_at <= last.at if last else not _is_recorded(world, position)
        if placed is None or was_seen:
            continue
        shares = sum((rest.quantity for rest in rests), NOTHING)
        gap = Gap(position.strategy, position.symbol, shares, position.opened_at, NOT_PLACED)
        if _is_reported(world, gap, placed):
            yield gap


def _is_recorded(world: World, position: Position) -> bool:
    """Return True if passes were recorded when a position was opened, so that the record of its own isn't lost."""
    return any(cycle.at <= position.opened_at for cycle in world.facts.passes(position.opened_at - DAY))


def _placed_at(rest: Resting) -> datetime | None:
    """Return when a stop began to work, at the latest; None for an entry's attached stop, which came with the entry.

    A venue such as IB that reports no times of orders had accepted the stop before we recorded that.
    """
    if _is_attached_to_entry(rest) or rest.stop is None:
        return None
    accepted_at = rest.record.updated_at if rest.record.state is IntentState.ACKED else None
    return rest.stop.updated_at or accepted_at


def _is_attached_to_entry(rest: Resting) -> bool:
    return rest.record.intent.purpose is Purpose.OPEN


def _gaps_found(
    world: World, desk: Desk, books: Books, resting: Mapping[HoldingKey, Sequence[Resting]]
) -> GapByPosition:
    rules = world.rules
    # Shares that a person sold elsewhere stay in our books until that is accepted, and need no stop.
    closed = closed_by_others(books, desk.net)
    gaps_now = protection_gaps(books, desk.listings, resting, rules.exits, rules.exits_of, closed)
    return {(gap.strategy, gap.symbol): gap for gap in gaps_now}


def _as_filled(desk: Desk, books: Books) -> Books:
    """Return the books with all fills of our orders that are reported or visible, because those shares need a stop."""
    books = books.with_pending(reported_fills(books))
    return books.with_pending(seen_fills(books, desk.omitted_orders, desk.net))


def _is_reported(world: World, gap: Gap, ended: datetime) -> bool:
    """Return True if a gap that is already over gets reported: not if its stop came soon enough after a fill."""
    return gap.why != NOT_PLACED or ended - gap.since > timedelta(seconds=world.rules.limits.exit_life_s)


def _is_closed(gap: Gap, books: Books, desk: Desk) -> bool:
    """Return True if the gap's shares are gone; shares held now may have been bought since.

    A position that was opened after `now` wasn't bought since: the clock is behind.
    """
    position = books.totals.positions.get((gap.strategy, gap.symbol))
    if position is None or not position.quantity or gap.since < position.opened_at <= desk.now:
        return True
    own = abs(books.totals.own_quantities().get(gap.symbol, NOTHING))
    return bool(own) and closed_by_others(books, desk.net)[gap.symbol] >= own


def _rested_throughout(gap: Gap, rests: Sequence[Resting], bought_at: datetime | None) -> bool:
    """Return True if the orders that rest now came before a doubt about them began; an ended order never works again.

    An entry's attached stop came with the entry's last share, at `bought_at`.
    """
    working = (rest for rest in rests if rest.can_trigger)
    before = (
        rest
        for rest in working
        if (at := bought_at if _is_attached_to_entry(rest) else _placed_at(rest)) and at <= gap.since
    )
    return sum((rest.quantity for rest in before), NOTHING) >= gap.shares


def _gap_ended(
    gap: Gap, books: Books, desk: Desk, now: datetime, resting: Mapping[HoldingKey, Sequence[Resting]]
) -> SystemEvent:
    """Build the event for the end of a gap. It ends when the last share leaves, or when the last stop rests.

    The stop's time is the venue's, or else that of this pass. A doubt that proves groundless lasted no time. An exit
    that was working covered its share of the position until its last fill.
    """
    position, closed = books.totals.positions.get((gap.strategy, gap.symbol)), _is_closed(gap, books, desk)
    rests = resting.get((gap.strategy, gap.symbol), ())
    came = [at for rest in rests if rest.can_trigger and (at := _placed_at(rest)) and gap.since < at <= now]
    last_traded_at = position.traded_at if position and gap.why == EXITING else None
    came += [last_traded_at] if came and last_traded_at and gap.since < last_traded_at <= now else []
    bought_at = max((lot.at for lot in position.lots), default=None) if position else None
    if not came and not closed and gap.why == DOUBTED and _rested_throughout(gap, rests, bought_at):
        came = [gap.since]
    at = position.closed_at if position and position.closed_at else now if closed else max(came, default=now)
    lasted_s = max((at - gap.since).total_seconds(), 0.0)
    details = {"strategy": gap.strategy, "why": gap.why, "since": gap.since.isoformat(), "lasted_s": f"{lasted_s:.3f}"}
    return EventKind.PROTECTION_GAP_ENDED.at(now, {**details, "ended": "closed" if closed else "stop"}, gap.symbol)
