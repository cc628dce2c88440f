"""Gather what `tradebot status` shows from the bot's own records; the broker isn't asked."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from commands.shared.evidence.gather import evidence_of
from commands.shared.records import held, last_passes, trading_now
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app import sandbox
from tradebot.app.wiring import App
from tradebot.errors import OperatorError
from tradebot.judging.evidence import Evidence, Halts, Past, Unread
from tradebot.judging.permission import permission
from tradebot.judging.table import judged
from tradebot.model.position import FOREIGN
from tradebot.model.record import Job
from tradebot.model.totals import Totals
from tradebot.model.trading import ReconcileMark
from tradebot.timetable.slots import CHAIN
from tradebot.views.performance.day import DayProfit, begun, day_profit
from tradebot.views.performance.days import day_of
from tradebot.views.status import (
    LastPass,
    LookedAt,
    NextSlot,
    Status,
    equity,
    last_pass,
    last_reconcile,
    open_order,
    quota,
    unresolved_order,
)

REACH = timedelta(days=7)
"""How far back the end of the session before is looked for."""


def status_of(app: "App") -> Status:
    """Read the ledger, the evidence that the bot is judged by, and the passes recorded in sound facts.

    Raises OperatorError if the books can't be read.
    """
    evidence, ledger = evidence_of(app), app.ledger_view
    past, facts = evidence.past, None if isinstance(evidence.parts["facts"], Unread) else app.recorded
    halts, mark, totals = _halts(evidence), ledger.last_reconcile(), ledger.totals()
    orders, unresolved = ledger.orders(working=True), ledger.intents(unresolved=True)
    promised, ending = ledger.tallies.counts()[0], ledger.tallies.ending()
    positions = [p for p in totals.positions.values() if p.strategy != FOREIGN]
    passes = tuple(_passes(facts, mark))
    as_of = max((p.at for p in passes), default=ledger.books_opened_at())
    now, recent = (past.now, past.cycles) if isinstance(past, Past) else (trading_now(app, (as_of,)), ())
    return Status(
        state_dir=str(app.folder.path),
        as_of=as_of,
        exchange_url=sandbox.running(app.folder.exchange),
        trading_state=halts.state.state.value,
        trading_who=halts.state.who,
        trading_why=halts.why,
        trading_at=halts.state.at,
        halted_itself=halts.hidden,
        permission=permission(app.permission, evidence.at),
        reconcile=mark,
        health=judged(evidence),
        passes=passes,
        now=now,
        next_slots=_next_slots(past) if isinstance(past, Past) else (),
        quota=quota(recent),
        equity=equity(recent),
        positions=held(app, totals, last_passes(facts), now),
        orders=tuple(open_order(order, ending=order.venue_id in ending) for order in orders),
        unresolved=tuple(unresolved_order(record) for record in unresolved),
        realized_usd=sum((position.realized_pnl for position in positions), Decimal(0)),
        today=_today(app, facts, totals, as_of),
        looked_at=LookedAt(totals.count, len(orders), promised, len(passes)),
    )


def _halts(evidence: Evidence) -> Halts:
    halts: Halts | Unread = evidence.parts["halts"]
    if isinstance(halts, Unread):
        raise OperatorError(halts.why, halts.next)
    return halts


def _today(app: "App", facts: "SqliteFacts | None", totals: "Totals", as_of: datetime | None) -> "DayProfit | None":
    ledger = app.ledger_view
    if as_of is None or not ledger.books_opened_at():
        return None
    day = day_of(as_of)
    starts = begun(totals, day).values()
    fills = ledger.fills_since(min(starts)) if starts else ()
    ends = facts.session_ends(day - REACH, day) if facts is not None else ()
    return day_profit(totals, day, fills, ledger.cash_movements(), ends)


def _next_slots(past: Past) -> tuple[NextSlot, ...]:
    """Return each job's next slot, in the order they run; empty if no calendar is stored yet."""
    coming = [past.coming[job] for job in CHAIN if job in past.coming]
    return tuple(NextSlot(slot.job, slot.session, slot.name, slot.start) for slot in coming)


def _passes(facts: "SqliteFacts | None", mark: "ReconcileMark | None") -> Iterator[LastPass]:
    if facts is not None:
        for job in (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE):
            for cycle in facts.cycles(job=job, last=1):
                answers = facts.intakes(cycle.at) if job is Job.FETCH_FLOW else ()
                yield last_pass(cycle, answers)
    if mark is not None:
        yield last_reconcile(mark)
