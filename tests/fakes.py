"""Small in-memory stores written for the ports; the real ones pass the same conformance suite."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import EquityPeak
from tradebot.model.activity import Booking, Entry
from tradebot.model.bar import Session
from tradebot.model.books import Standing
from tradebot.model.candidate import Purpose
from tradebot.model.cash import CashMovement
from tradebot.model.contract import CheckedReply
from tradebot.model.decision import Decision
from tradebot.model.event import SystemEvent
from tradebot.model.flow import Intake
from tradebot.model.intent import Intent, IntentRecord, IntentState
from tradebot.model.kind import Fact
from tradebot.model.order import Order, Outcome, Reply, lineages
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN, Kept, Key, Marks, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job, Scored, SymbolFacts
from tradebot.model.totals import Totals
from tradebot.model.trade_note import TradeNote
from tradebot.model.trading import Override, ReconcileMark, SlotClaim, TradingState, TradingStateRecord
from tradebot.signals.kinds import kind_of
from tradebot.signals.sectors import SOURCE_SECTORS

STATES = {
    Outcome.ACCEPTED: IntentState.ACKED,
    Outcome.REJECTED: IntentState.REJECTED,
    Outcome.UNKNOWN: IntentState.UNKNOWN,
}


class MemoryEvents:
    """Events kept in a list."""

    def __init__(self) -> None:
        self.emitted: list[SystemEvent] = []

    def emit(self, event: SystemEvent) -> None:
        self.emitted.append(event)


class MemorySendLock:
    """A send lock that remembers for what it was held, and tells whether it is now; `taken` is told of each holding."""

    def __init__(self) -> None:
        self.orders: list[Intent] = []
        self.held = False
        self.taken: Callable[[Intent], None] = lambda intent: None

    @contextmanager
    def hold(self, intent: Intent) -> Iterator[None]:
        assert not self.held, "one order at a time"
        self.orders.append(intent)
        self.held = True
        self.taken(intent)
        try:
            yield
        finally:
            self.held = False


class MemoryLedger:
    """A ledger of dictionaries; armed and ACTIVE from the start."""

    def __init__(self, account_number: str = "TEST00001") -> None:
        self._account_number = account_number
        self._opening: tuple[Decimal, datetime] | None = None
        self._intents: dict[str, IntentRecord] = {}
        self._orders: dict[str, Order] = {}
        self._applied_at: dict[str, datetime] = {}
        self._fills: dict[str, OwnedFill] = {}
        self._cash: list[CashMovement] = []
        self._notes: list[TradeNote] = []
        self._booked: dict[str, Entry] = {}
        self._slots: dict[tuple[str, date, str], SlotClaim] = {}
        self._state = TradingStateRecord(TradingState.ACTIVE, "init", "armed", None)
        self._armed = True
        self._halts: list[TradingStateRecord] = []
        self._sessions: dict[date, Session] = {}
        self._mark: ReconcileMark | None = None
        self._marks: dict[Key, Marks] = {}
        self._renamed: dict[tuple[str, str, datetime], str] = {}
        self._peak: EquityPeak | None = None
        self._acknowledged: dict[str, Decimal] = {}
        self._acknowledged_since: dict[str, datetime] = {}
        self.verdicts: dict[str, tuple[Decision, ...]] = {}

    @property
    def account_number(self) -> str:
        return self._account_number

    def opening_cash(self) -> Decimal:
        if self._opening is None:
            raise OperatorError("The books were never opened.", "tradebot reconcile")
        return self._opening[0]

    def open_books(self, opening_cash: Decimal, at: datetime) -> None:
        if self._opening is not None:
            raise AssertionError("the books are open already")
        self._opening = (opening_cash, at)

    def books_opened_at(self) -> datetime | None:
        return self._opening[1] if self._opening else None

    def standing(self) -> Standing:
        cash, opened_at = self._opening or (None, None)
        return Standing(opened_at, cash, self.cash_adjustments(), self._mark, self._peak)

    def promise(self, intent: Intent, verdicts: Sequence[Decision]) -> bool:
        if intent.client_order_id in self._intents:
            return False
        self._intents[intent.client_order_id] = IntentRecord(intent, IntentState.SENT, None, None, intent.at)
        self.verdicts[intent.client_order_id] = tuple(verdicts)
        return True

    def settle(self, client_order_id: str, reply: Reply, at: datetime) -> None:
        record = self._intents[client_order_id]
        proven = record.state in (IntentState.ACKED, IntentState.REJECTED)
        if not (proven and reply.outcome is Outcome.UNKNOWN):
            self._intents[client_order_id] = replace(
                record, state=STATES[reply.outcome], code=reply.code, message=reply.message, updated_at=at
            )
        if reply.order is not None:
            self.apply_orders((reply.order, *reply.legs), at)

    def intents(
        self, *, session: date | None = None, since: date | None = None, unresolved: bool = False
    ) -> Sequence[IntentRecord]:
        open_states = (IntentState.SENT, IntentState.UNKNOWN)
        return tuple(
            record
            for record in self._intents.values()
            if (session is None or record.intent.session == session)
            and (since is None or record.intent.session >= since)
            and (not unresolved or record.state in open_states)
        )

    def last_acknowledged(self) -> str | None:
        made = (r for r in self._intents.values() if r.intent.makes_order and r.state is IntentState.ACKED)
        return next((record.intent.client_order_id for record in reversed(list(made))), None)

    def recent_intents(self, since: date) -> Sequence[IntentRecord]:
        found = self._intents.values()
        return tuple(record for record in found if record.state.unresolved or record.intent.session >= since)

    def unsettled_intents(self, since: date) -> Sequence[IntentRecord]:
        given_up = (r for r in self._intents.values() if r.state.unresolved or r.state is IntentState.ABANDONED)
        return tuple(record for record in given_up if record.state.unresolved or record.intent.session >= since)

    def promised(self, client_order_ids: Collection[str]) -> Mapping[str, IntentRecord]:
        return {name: self._intents[name] for name in client_order_ids if name in self._intents}

    def intent(self, client_order_id: str) -> IntentRecord | None:
        return self._intents.get(client_order_id)

    def abandon(self, client_order_id: str, why: str, at: datetime) -> None:
        record = self._intents[client_order_id]
        if record.state not in (IntentState.SENT, IntentState.UNKNOWN):
            raise AssertionError(f"{client_order_id} is {record.state}, not unresolved")
        self._intents[client_order_id] = replace(record, state=IntentState.ABANDONED, message=why, updated_at=at)

    def retry(self, client_order_id: str, at: datetime) -> None:
        record = self._intents[client_order_id]
        if record.state not in (IntentState.SENT, IntentState.UNKNOWN):
            raise AssertionError(f"{client_order_id} is {record.state}, not unresolved")
        self._intents[client_order_id] = replace(record, state=IntentState.SENT, code=None, message=None, updated_at=at)

    def apply_orders(self, orders: Iterable[Order], at: datetime) -> int:
        changed = 0
        for order in orders:
            known = self._orders.get(order.venue_id)
            order = order.with_known(known)  # noqa: PLW2901
            if known is None or order.supersedes(known):
                self._orders[order.venue_id] = order
                self._applied_at[order.venue_id] = at
                changed += 1
        return changed

    def orders(self, *, working: bool = False, since: datetime | None = None) -> Sequence[Order]:
        told = (o for o in self._orders.values() if not (working and o.status.terminal))
        return tuple(o for o in told if since is None or self._applied_at[o.venue_id] >= since)

    def order_chains(self, venue_ids: Collection[str]) -> Mapping[str, Sequence[Order]]:
        return lineages(venue_ids, self._orders)

    def recent_orders(self, since: datetime) -> Sequence[Order]:
        late = {venue_id for venue_id, at in self._applied_at.items() if at >= since}
        found = self._orders.values()
        return tuple(
            order
            for order in found
            if not order.status.terminal or order.venue_id in late or order.client_order_id not in self._intents
        )

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        before = len(self._fills)
        for owned in fills:
            self._fills.setdefault(owned.fill.activity_id, owned)
        return len(self._fills) - before

    def fills(self, symbol: str | None = None) -> Sequence[OwnedFill]:
        found = (owned for owned in self._fills.values() if symbol in (None, owned.fill.symbol))
        return tuple(sorted(found, key=lambda owned: owned.fill.at))

    def totals(self) -> Totals:
        return Totals.of(self.fills())

    def keep_totals(self) -> None:
        """Keep nothing: there is little to add up."""

    def fills_with_others(self) -> Sequence[OwnedFill]:
        moved = (Origin.GIVEN_BACK, Origin.TAKEN_OVER)
        return tuple(owned for owned in self.fills() if owned.strategy == FOREIGN or owned.origin in moved)

    def known_fills(self, activity_ids: Collection[str]) -> Collection[str]:
        return self._fills.keys() & set(activity_ids)

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        filled: dict[str, Decimal] = {}
        for owned in self._fills.values():
            name = owned.fill.venue_order_id
            if name in venue_ids:
                filled[name] = filled.get(name, Decimal(0)) + owned.fill.quantity
        return filled

    def last_reported_fill(self, until: datetime) -> datetime | None:
        reported = (owned.fill.at for owned in self._fills.values() if owned.fill.venue_order_id)
        return max((at for at in reported if at <= until), default=None)

    def adjust_cash(self, amount: Decimal, why: str, at: datetime, *, origin: Origin, about: str = "") -> None:
        self._cash.append(CashMovement(at, amount, "", origin, about, why))

    def cash_adjustments(self) -> Decimal:
        return sum((one.amount_usd for one in self._cash), Decimal(0))

    def cash_movements(self) -> Sequence[CashMovement]:
        return tuple(self._cash)

    def note_trade(self, note: TradeNote) -> None:
        self._notes.append(note)

    def change_note(self, trade: Key, change: Callable[[TradeNote | None], TradeNote]) -> TradeNote:
        self.note_trade(note := change(self.trade_notes().get(trade)))
        return note

    def trade_notes(self) -> Mapping[Key, TradeNote]:
        return {note.trade: note for note in sorted(self._notes, key=lambda note: note.at)}

    def book(self, booking: Booking, at: datetime) -> bool:
        if any(entry.activity_id in self._booked for entry in booking.entries):
            return False
        self._booked |= {entry.activity_id: entry for entry in booking.entries}
        self._cash += [
            CashMovement(one.at or at, one.amount, one.kind, Origin.ACTIVITY, one.activity_id, one.words, one.symbol)
            for one in booking.entries
        ]
        self.apply_fills(booking.fills, at)
        for symbol, quantity in booking.acknowledged:
            self.acknowledge(symbol, quantity, booking.entries[0].words, at, origin=Origin.ACTIVITY)
        for one in booking.restated:
            marks = self._marks.get((one.strategy, one.symbol, one.opened_at))
            if marks is not None:
                kept = one.of(Kept(best=marks.best, worst=marks.worst))
                assert kept.best is not None
                self._marks[one.strategy, one.to_symbol, one.opened_at] = Marks(kept.best, kept.worst)
            if one.to_symbol != one.symbol:
                self._renamed[one.strategy, one.to_symbol, one.opened_at] = one.symbol
        return True

    def booked(self, activity_ids: Collection[str] | None = None) -> Mapping[str, Entry]:
        return {name: entry for name, entry in self._booked.items() if activity_ids is None or name in activity_ids}

    def claim_slot(self, job: str, session: date, slot: str, by: str, at: datetime) -> SlotClaim:
        holder = self._slots.get((job, session, slot))
        if holder is not None:
            return replace(holder, won=False)
        claim = SlotClaim(job, session, slot, by, at, True)
        self._slots[(job, session, slot)] = claim
        return claim

    def slot_claims(self, session: date) -> Sequence[SlotClaim]:
        return tuple(replace(claim, won=False) for claim in self._slots.values() if claim.session == session)

    def trading_state(self) -> TradingStateRecord:
        if self._state.state is TradingState.ACTIVE and not self._armed:
            return TradingStateRecord(TradingState.REDUCE_ONLY, "", "ARMED is absent", None)
        return self._state

    def set_trading_state(
        self,
        state: TradingState,
        who: str,
        why: str,
        at: datetime,
        *,
        causes: Collection[Reason] = (),
        override: Override | None = None,
        over: TradingStateRecord | None = None,
    ) -> None:
        if over is not None and self.trading_state() != over:
            raise OperatorError("a newer halt came", code=ExitCode.REFUSED)
        flattens = state is TradingState.REDUCE_ONLY and self._state.state is TradingState.FLATTEN
        kept = TradingState.FLATTEN if flattens else state
        self._state = TradingStateRecord(kept, who, why, at, frozenset(causes), override)
        self._armed = state is TradingState.ACTIVE
        self._halts = [] if self._armed else [*self._halts, self._state]

    def halts(self) -> Sequence[TradingStateRecord]:
        return tuple(self._halts)

    def armed(self) -> bool:
        return self._armed

    def sessions(self, start: date, end: date) -> Sequence[Session]:
        return tuple(self._sessions[day] for day in sorted(self._sessions) if start <= day <= end)

    def put_sessions(self, sessions: Iterable[Session]) -> None:
        self._sessions.update({session.date: session for session in sessions})

    def mark_reconciled(self, mark: ReconcileMark) -> None:
        self._mark = mark

    def last_reconcile(self) -> ReconcileMark | None:
        return self._mark

    def kept(self, held: Collection[Key]) -> Mapping[Key, Kept]:
        kept = {one: self._opened_for(one) for one in held}
        for one in kept.keys() & self._marks.keys():
            kept[one] = replace(kept[one], best=self._marks[one].best, worst=self._marks[one].worst)
        return {one: found for one, found in kept.items() if found != Kept()}

    def _opened_for(self, held: Key) -> Kept:
        strategy, symbol, at = held
        while (strategy, symbol, at) in self._renamed:
            symbol = self._renamed[strategy, symbol, at]
        for owned in self._fills.values():
            if (owned.strategy, owned.fill.symbol, owned.fill.at) == (strategy, symbol, at):
                for order in self.order_chains([owned.fill.venue_order_id]).get(owned.fill.venue_order_id, ()):
                    record = self._intents.get(order.client_order_id)
                    if record and record.intent.purpose is Purpose.OPEN:
                        return Kept(
                            stop_loss_fraction=record.intent.stop_loss_fraction,
                            profit_target_fraction=record.intent.profit_target_fraction,
                            entry_score=record.intent.score,
                            components=record.intent.components,
                            targets=record.intent.targets,
                        )
        return Kept()

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        self._marks.update(marks)

    def equity_peak(self) -> EquityPeak | None:
        return self._peak

    def put_equity_peak(self, peak: EquityPeak) -> None:
        self._peak = peak

    def acknowledge(
        self, symbol: str, quantity: Decimal, why: str, at: datetime, *, origin: Origin, about: str = ""
    ) -> None:
        self._acknowledged.pop(symbol, None)
        if quantity:
            self._acknowledged[symbol] = quantity
            self._acknowledged_since.setdefault(symbol, at)
        else:
            self._acknowledged_since.pop(symbol, None)

    def acknowledged(self) -> Mapping[str, Decimal]:
        return dict(self._acknowledged)

    def acknowledged_since(self) -> Mapping[str, datetime]:
        return dict(self._acknowledged_since)


class MemoryFacts:
    """Facts in dictionaries: each version of a fact with the time from which it was known."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str, str], list[tuple[datetime, Fact]]] = {}
        self._intakes: list[Intake] = []
        self._cycles: list[CycleRecord] = []

    def store(self, intake: Intake) -> int:
        self._intakes.append(replace(intake, facts=()))
        return sum(self._store_one(intake, fact) for fact in intake.facts)

    def _store_one(self, intake: Intake, fact: Fact) -> bool:
        versions = self._versions.setdefault((intake.endpoint, intake.symbol or "", fact.id), [])
        if versions and (not kind_of(intake.endpoint).changes or versions[-1][1] == fact):
            return False
        versions.append((intake.at, fact))
        return True

    def _known(self, symbol: str, session: date, now: datetime) -> dict[str, object]:
        known: dict[str, list[object]] = {}
        for (name, owner, _), versions in self._versions.items():
            if self._is_old(name, owner or None, now):
                continue
            kind, in_time = kind_of(name), [fact for known_at, fact in versions if known_at <= now]
            if owner == symbol and in_time and 0 <= (session - kind.day(in_time[-1])).days <= kind.past_days:
                known.setdefault(name, []).append(kind.lean(in_time[-1]))
        return {name: kind_of(name).condense(facts) for name, facts in known.items()}

    def _is_old(self, name: str, symbol: str | None, now: datetime) -> bool:
        limit_s, last = kind_of(name).max_age_s, self._last(name, symbol, now)
        if limit_s is None or name == "flow_alerts":
            return False
        return last is None or (now - last.at).total_seconds() > limit_s

    def load(self, symbols: Sequence[str], session: date, now: datetime) -> Mapping[str, SymbolFacts]:
        known = {symbol: SymbolFacts(symbol, self._known(symbol, session, now)) for symbol in symbols}
        return {symbol: self._with_last_answer(facts, now) for symbol, facts in known.items()}

    def last_answers(self, symbols: Sequence[str], now: datetime) -> Mapping[str, SymbolFacts]:
        return {symbol: self._with_last_answer(SymbolFacts(symbol), now) for symbol in symbols}

    def _with_last_answer(self, facts: SymbolFacts, now: datetime) -> SymbolFacts:
        last = self._last("flow_alerts", facts.symbol, now)
        if last is None:
            return facts
        return replace(
            facts,
            alerts_fetched_at=last.at,
            received=last.received,
            foreign=last.foreign,
            rejected=len(last.rejected),
        )

    def _last(self, endpoint: str, symbol: str | None, now: datetime | None) -> Intake | None:
        asked = [i for i in reversed(self._intakes) if i.endpoint == endpoint and i.symbol == symbol]
        return max((i for i in asked if now is None or i.at <= now), key=lambda i: i.at, default=None)

    def market(self, session: date, now: datetime) -> Mapping[str, object]:
        found = self._known("", session, now)
        for sector in SOURCE_SECTORS.values():
            for name, value in self._known(sector, session, now).items():
                found[name] = {**found.get(name, {}), sector: value}  # type: ignore[dict-item]
        return found

    def suspicious_replies(self, since: datetime, now: datetime) -> Sequence[CheckedReply]:
        asked = [i for i in self._intakes if since <= i.at <= now and i.received and i.nulls is not None]
        newest = (
            {(i.endpoint, i.symbol): i for i in sorted(asked, key=lambda i: i.at)}
            if any(i.findings for i in asked)
            else {}
        )
        return tuple(
            CheckedReply(i.endpoint, i.symbol, i.at, i.received, i.findings, i.nulls or {}) for i in newest.values()
        )

    def last_fetch(self, endpoint: str, symbol: str | None) -> datetime | None:
        last = self._last(endpoint, symbol, None)
        return last.at if last else None

    def record(self, cycle: CycleRecord) -> None:
        self._cycles = [k for k in self._cycles if (k.job, k.id) != (cycle.job, cycle.id)] + [cycle]

    def unfinished(self, cycle: CycleRecord) -> bool:
        ends = [kept.job_decision for kept in self._cycles if (kept.job, kept.id) == (cycle.job, cycle.id)]
        return not ends or (ends[-1] is not None and ends[-1].reason is Reason.CUT_SHORT)

    def cycles(self, *, job: str, since: datetime | None = None, last: int | None = None) -> Sequence[CycleRecord]:
        found = [c for c in self._cycles if c.job == job and (since is None or c.at >= since)]
        found.sort(key=lambda cycle: cycle.at)
        return tuple(found if last is None else found[max(0, len(found) - last) :])

    def passes(self, since: datetime) -> Sequence[CycleRecord]:
        found = sorted((c for c in self._cycles if c.at >= since), key=lambda cycle: cycle.at)
        return tuple(replace(cycle, candidates=()) for cycle in found)

    def scores(
        self, held: Collection[tuple[str, str]], since: datetime, now: datetime
    ) -> Mapping[tuple[str, str], Sequence[Scored]]:
        scored = [c for c in self._cycles if c.job in (Job.SCORE, Job.TRADE_ONCE) and since <= c.at <= now]
        slots = {(c.session, c.slot): c for c in sorted(scored, key=lambda c: c.at) if c.job_decision is None}
        found: dict[tuple[str, str], list[Scored]] = {}
        for cycle in slots.values():
            for candidate in (record.candidate for record in cycle.candidates):
                if (candidate.strategy, candidate.symbol) in held and candidate.score is not None:
                    found.setdefault((candidate.strategy, candidate.symbol), []).append(
                        Scored(cycle.at, candidate.score)
                    )
        return {key: sorted(scores) for key, scores in found.items()}

    def marks(self, since: datetime, until: datetime) -> Mapping[str, Decimal]:
        passes = [c for c in self.passes(since) if c.job is Job.EVALUATE_EXITS and c.at <= until and c.marks]
        return {mark.symbol: mark.price for mark in passes[-1].marks} if passes else {}

    def stored(self, kind: str, spans: Mapping[str, tuple[date, date]], now: datetime) -> Mapping[str, Sequence[Fact]]:
        found: dict[str, list[Fact]] = {}
        for (name, symbol, _), versions in self._versions.items():
            known = [fact for known_at, fact in versions if known_at <= now]
            first, last = spans.get(symbol, (date.max, date.min))
            if name == kind and known and first <= kind_of(kind).day(known[-1]) <= last:
                found.setdefault(symbol, []).append(known[-1])
        return found

    def intakes(self, since: datetime) -> Sequence[Intake]:
        return tuple(sorted((i for i in self._intakes if i.at >= since), key=lambda i: i.at))
