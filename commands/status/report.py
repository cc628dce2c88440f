"""Gather what `tradebot status` shows from the bot's own records; the broker isn't asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from commands.shared.plain import clean
from tradebot.text import counted
from tradebot.views.health import Check, Equity, FlowQuota, equity, health, quota
from tradebot.views.holdings import FOREIGN_OWNER, Holding, prices

if TYPE_CHECKING:
    from tradebot.adapters.facts.facts import SqliteFacts
    from tradebot.app.wiring import App
    from tradebot.model.intent import IntentRecord
    from tradebot.model.order import Order
    from tradebot.model.record import CycleRecord
    from tradebot.model.trading import Permission, ReconcileMark


REACH = timedelta(days=7)
"""How far ahead a job's next slot is looked for."""


@dataclass(frozen=True, slots=True)
class Door:
    """A closed door of permission; `entries_only` if exits and cancels continue."""

    reason: str
    found: str
    entries_only: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """The last reconcile; `age_s` is up to the last recorded trading time."""

    at: datetime
    age_s: float
    findings: int
    blocking: int


@dataclass(frozen=True, slots=True)
class LastPass:
    """The last recorded pass of a job; `slot` is None if the records don't name it."""

    job: str
    at: datetime
    slot: str | None
    did: str


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """A working order, or one with an unknown outcome; quantity in shares still open, price in USD."""

    symbol: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None
    status: str
    client_order_id: str


@dataclass(frozen=True, slots=True)
class LookedAt:
    """How many records this screen is based on."""

    fills: int
    orders: int
    intents: int
    passes: int


@dataclass(frozen=True, slots=True)
class NextSlot:
    """The next due time of a job by the timetable and the stored calendar."""

    job: str
    session: date
    slot: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on the screen; `as_of` is the last recorded trading time, None where nothing was recorded.

    `trading_at` and who set it come from a person's own clock, all other times are trading time. `next_slots` are those
    after `now`, which is `as_of` on the embedded exchange. `halted_itself` is why the bot had halted by itself, under a
    halt that another laid over it.
    """

    state_dir: str
    as_of: datetime | None
    exchange_url: str | None
    trading_state: str
    trading_who: str
    trading_why: str
    trading_at: datetime | None
    halted_itself: tuple[str, ...]
    doors: tuple[Door, ...]
    reconcile: Compared | None
    health: tuple[Check, ...]
    passes: tuple[LastPass, ...]
    now: datetime | None
    next_slots: tuple[NextSlot, ...]
    quota: FlowQuota | None
    equity: Equity | None
    positions: tuple[Holding, ...]
    orders: tuple[OpenOrder, ...]
    unresolved: tuple[OpenOrder, ...]
    realized_usd: Decimal
    looked_at: LookedAt


def status_of(app: "App") -> Status:
    """Read the ledger, the recorded passes and the switch; always exit 0."""
    from commands.shared.records import held, last_passes, trading_now
    from tradebot.app import sandbox
    from tradebot.desk.halting import under
    from tradebot.model.position import FOREIGN, fold_positions

    ledger = app.ledger_view
    state, mark, fills = ledger.trading_state(), ledger.last_reconcile(), ledger.fills()
    orders, unresolved = ledger.orders(working=True), ledger.intents(unresolved=True)
    promised, ending = ledger.tallies.counts()[0], ledger.tallies.ending()
    positions = [p for p in fold_positions(fills).values() if p.strategy != FOREIGN]
    passes = _passes(app, mark)
    as_of = max((p.at for p in passes), default=ledger.books_opened_at())
    now, recent = trading_now(app, (as_of,)), _recent(app, as_of)
    positions_held = held(app, fills, prices(last_passes(app)), now)
    return Status(
        state_dir=str(app.folder.path),
        as_of=as_of,
        exchange_url=sandbox.running(app.folder.exchange),
        trading_state=state.state.value,
        trading_who=clean(state.who),
        trading_why=clean(state.why),
        trading_at=state.at,
        halted_itself=tuple(clean(cause.why) for cause in under(ledger, state)),
        doors=_doors(app.permission, datetime.now(UTC)),
        reconcile=_compared(mark, as_of),
        health=health(
            recent,
            now,
            mark,
            app.settings.limits,
            is_open=_is_open(app, now),
            positions=sum(row.strategy != FOREIGN_OWNER for row in positions_held),
            unresolved=len(unresolved),
        ),
        passes=passes,
        now=now,
        next_slots=_next_slots(app, now),
        quota=quota(recent),
        equity=equity(recent),
        positions=positions_held,
        orders=tuple(_open_order(order, order.venue_id in ending) for order in orders),
        unresolved=tuple(_unresolved(record) for record in unresolved),
        realized_usd=sum((position.realized_pnl for position in positions), Decimal(0)),
        looked_at=LookedAt(len(fills), len(orders), promised, len(passes)),
    )


def _is_open(app: "App", now: datetime | None) -> bool:
    from tradebot.timetable.sessions import session_of

    session = session_of(app.ledger_view, now) if now else None
    return bool(session and now and session.contains(now))


def _next_slots(app: "App", now: datetime | None) -> tuple[NextSlot, ...]:
    """Return each job's next slot after `now`, in the order they run; empty if no calendar is stored yet."""
    from jobs.timetable import CHAIN, slots

    if now is None:
        return ()
    sessions = app.ledger_view.sessions(now.date() - timedelta(days=1), now.date() + REACH)
    found: list[NextSlot] = []
    for job in CHAIN:
        coming = (slot for session in sessions for slot in slots(job, app.settings.timetable[job], session))
        due = next((slot for slot in coming if slot.start > now), None)
        if due is not None:
            found.append(NextSlot(job.value, due.session, due.name, due.start))
    return tuple(found)


def _recent(app: "App", now: datetime | None) -> "Sequence[CycleRecord]":
    """Return the passes of the last day before the last recorded one, without their candidates."""
    if app.recorded is None or now is None:
        return ()
    return app.recorded.passes(now - timedelta(days=1))


def _doors(permission: "Permission", now: datetime) -> tuple[Door, ...]:
    """Return the closed doors by this machine's clock, because live trading runs in real time."""
    closed = permission.closed_to_entries(now)
    return tuple(Door(reason.value, clean(found), (reason, found) not in permission.closed) for reason, found in closed)


def _passes(app: "App", mark: "ReconcileMark | None") -> tuple[LastPass, ...]:
    """Return the last pass of each job, in the order of a session."""
    from tradebot.model.record import Job

    found: list[LastPass] = []
    if app.recorded is not None:
        jobs = (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE)
        cycles = [cycle for job in jobs for cycle in app.recorded.cycles(job=job, last=1)]
        found += [LastPass(cycle.job.value, cycle.at, cycle.slot, _did(app.recorded, cycle)) for cycle in cycles]
    if mark is not None:
        did = f"{counted(mark.findings, 'finding')}, {mark.blocking} blocking"
        found.append(LastPass(Job.RECONCILE.value, mark.at, None, did))
    return tuple(found)


def _did(recorded: "SqliteFacts", cycle: "CycleRecord") -> str:
    if cycle.job_decision is not None:
        return f"refused: {cycle.job_decision.reason}"
    if cycle.job == "fetch-flow":
        answers = recorded.intakes(cycle.at)
        return f"{counted(len(answers), 'answer')}, {counted(sum(answer.received for answer in answers), 'row')}"
    orders = sum(record.terminal is None for record in cycle.candidates)
    failed = "".join(
        f"; strategy {refusal.strategy} is BROKEN ({refusal.decision.reason})" for refusal in cycle.refused_strategies
    )
    if cycle.job == "score":
        return f"{len(cycle.candidates)} scored, {counted(orders, 'candidate')}{failed}"
    return f"{len(cycle.candidates)} looked at, {orders} sent{failed}"


def _compared(mark: "ReconcileMark | None", as_of: datetime | None) -> Compared | None:
    if mark is None:
        return None
    age_s = (as_of - mark.at).total_seconds() if as_of else 0.0
    return Compared(mark.at, age_s, mark.findings, mark.blocking)


def _open_order(order: "Order", ending: bool) -> OpenOrder:
    """Return an order as last reported; whether it has ended since, the next pass will learn."""
    return OpenOrder(
        symbol=clean(order.symbol),
        side=order.side.value,
        quantity=order.open_quantity,
        limit_price=order.limit_price,
        status="cancel sent" if ending else order.status.value,
        client_order_id=clean(order.client_order_id),
    )


def _unresolved(record: "IntentRecord") -> OpenOrder:
    intent = record.intent
    return OpenOrder(
        symbol=intent.instrument.symbol,
        side=intent.side.value,
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        status=record.state.value,
        client_order_id=intent.client_order_id,
    )
