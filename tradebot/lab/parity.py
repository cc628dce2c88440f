"""Compare a session that the bot traded with a backtest of the same session, from the records of its passes."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from tradebot import __version__
from tradebot.app.what_if_rules import rules_of_record, settings_of
from tradebot.errors import OperatorError, TemporaryError
from tradebot.lab.backtest.recorded_day import PlayedDay, RecordedDay, is_played, last_moment, replay_session
from tradebot.lab.backtest.setup import loaded_strategies
from tradebot.model.candidate import Purpose
from tradebot.model.intent import Intent, Operation
from tradebot.model.parity import ZERO, DayParity, ParityCause, group_by_cause
from tradebot.model.position import FOREIGN, Origin
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.replaying.cycle_comparison import PassSeen, replay
from tradebot.replaying.parity import Data, RequestWithFills, SessionSide, at_quotes, compare, costs, no_known_cause
from tradebot.replaying.passes import RecordedCycle, RecordEnvironment, bytes_of, decide_again, read_record
from tradebot.replaying.port_recording import UnrecordedCallError
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tradebot.adapters.ledger.ledger import LedgerStores
    from tradebot.app.settings import Settings
    from tradebot.app.wiring import App
    from tradebot.model.bar import Session
    from tradebot.model.order import Fill, Order
    from tradebot.model.view import BarNeed
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import Progress, Rules

BEFORE = timedelta(days=5)
"""How far back passes are read as history for a session's first ones."""
REACH = timedelta(hours=1)
"""How much earlier than its desk a pass may have been recorded."""


def parity_of(app: App, day: date, progress: Progress) -> DayParity:
    """Compare a session with its backtest, without changing the bot's folder.

    If it is a market of the embedded exchange, it is run again. Other markets can't be run again, so passes are
    replayed from their records, and fills are compared with the quotes in the records. Raise OperatorError if the
    session has no records, records of another version, or a damaged record.
    """
    recorded = _recorded_cycles(app, day, progress)
    session = next(iter(app.ledger_view.sessions(day, day)), None)
    if session is None:
        raise OperatorError(
            f"The market was closed on {day}, so there is no session to replay.", f"tradebot replay {day}"
        )
    now = last_moment(app.folder.exchange) if app.mode is Mode.SANDBOX else datetime.now(UTC)
    until, passes = min(session.close, now), _passes_side_by_side(app, recorded)
    live = [then for then, _ in passes]
    as_of = _known_until(app, session, live)
    ran = SessionSide(
        {pass_seen.slot: pass_seen for pass_seen in live}, _sent_requests(app.ledger_view, session, live, as_of)
    )
    played_again = app.mode is Mode.SANDBOX and is_played(app.folder.exchange, app.settings)
    if played_again:
        again, prices, assumed, data = _play_session(app, session, [*recorded.values()], until, as_of)
    else:
        assumed = settings_of([*recorded.values()][-1].surroundings).sandbox.fill.slippage_bps or ZERO
        again = at_quotes(ran, SessionSide({pass_seen.slot: pass_seen for _, pass_seen in passes}, {}), assumed)
        prices = {symbol: quote.middle for pass_seen in live for symbol, quote in pass_seen.desk.quotes.items()}
        data = no_known_cause
    both = compare(ran, again, prices, data)
    charged = {movement.about: -movement.amount_usd for movement in app.ledger_view.past.cash_movements()}
    return DayParity(
        day, __version__, until >= session.close, len(live), both.decisions, len(ran.sent), both.fills,
        group_by_cause(both.differences), both.differences, both.worse_usd, both.value_usd, assumed, played_again,
        costs(ran, assumed, charged),
    )  # fmt: skip


def _play_session(
    app: App, session: Session, recorded: Sequence[RecordedCycle], until: datetime, as_of: datetime
) -> tuple[SessionSide, Mapping[str, Decimal], Decimal, Data]:
    """Return a session's backtest, final prices, assumed order costs, and why bars differ."""
    with ExitStack() as loaded:
        heads = [cycle for cycle in app.facts.passes(session.open - BEFORE) if cycle.at < session.open]
        plan = RecordedDay(session, recorded, until, lambda settings: _strategies(app, settings, loaded), heads)
        again = replay_session(app.folder.path, app.folder.exchange, app.ledger_view, plan)
    ran = SessionSide(
        {cycle.slot: cycle for cycle in again.passes}, _sent_requests(again.ledger, session, again.passes, as_of)
    )
    needs = {strategy.name: _bars_of(app, strategy) for strategy in app.strategies}
    return ran, again.prices, again.assumed_bps, partial(_of_bars, app, again, needs)


def _bars_of(app: App, strategy: Strategy) -> Sequence[BarNeed]:
    """Return the bars that a strategy sees, and those that its features are computed from."""
    if not strategy.needs.features:
        return strategy.needs.bars
    from tradebot.desk.features import bars_for

    return (*strategy.needs.bars, *(bars_for(need, app.day) for need in strategy.needs.features))


def _of_bars(
    app: App, again: PlayedDay, needs: Mapping[str, Sequence[BarNeed]], pass_seen: PassSeen, strategy: str, symbol: str
) -> ParityCause | None:
    """Return why a strategy's bars differ: the bot lacks some, or has others than the market; None if neither.

    This reads the currently stored bars: bars that arrived late, but before the next pass, count as complete.
    """
    stored = app.bars_at_rest
    if stored is None:
        return None
    for need in needs.get(strategy, ()):
        market = again.bars.closed(need, [symbol], pass_seen.evaluated_at).get(symbol)
        try:
            own = stored.closed(need, [symbol], pass_seen.evaluated_at).get(symbol)
        except TemporaryError:
            own = None
        if market is not None and (own is None or len(own) < len(market)):
            return ParityCause.LATE_DATA
        if own != market:
            return ParityCause.REVISED_DATA
    return None


def _recorded_cycles(app: App, day: date, progress: Progress) -> Mapping[str, RecordedCycle]:
    """Return the records of a session's passes by id, oldest first."""
    kept_passes = app.passes.passes(day)
    if not kept_passes:
        days = sorted({str(kept_pass.session) for kept_pass in app.passes.passes()})
        hint = f"tradebot parity {days[-1]}" if days else "storage.replay_sessions says how many sessions are kept"
        raise OperatorError(f"No pass of session {day} is recorded, so there is nothing to replay.", hint)
    if other := next((kept_pass.version for kept_pass in kept_passes if kept_pass.version != __version__), None):
        raise OperatorError(
            f"Session {day} was traded by version {other}, and a backtest of {__version__} may differ for that "
            "reason alone.",
            f"tradebot replay {day} --from-version {other}",
        )
    cycles: dict[str, RecordedCycle] = {}
    shared: dict[tuple[bytes, Any], Any] = {}
    for number, cycle in enumerate(kept_passes):
        progress(number, len(kept_passes))
        try:
            record = app.passes.record(cycle.id)
            assert record is not None, "it has just been listed"
            cycles[cycle.id] = read_record(*record, shared)
            rules_of_record(cycles[cycle.id].surroundings)
        except RecordError as error:
            message = f"Pass {cycle.id} can't be used: {error}."
            raise OperatorError(message, f"tradebot replay {day}") from error
    return cycles


def _passes_side_by_side(app: App, recorded: Mapping[str, RecordedCycle]) -> Sequence[tuple[PassSeen, PassSeen]]:
    """Return each recorded pass with this program's result on the same inputs, and how the two differ."""
    rules: dict[RecordEnvironment, Rules] = {}
    pairs = list[tuple[PassSeen, PassSeen]]()
    for name, recorded_cycle in recorded.items():
        around, inputs = recorded_cycle.surroundings, recorded_cycle.given
        if around not in rules:
            rules[around] = rules_of_record(around)
        try:
            decided: CycleRecord | None = decide_again(recorded_cycle, rules[around], recorded_cycle.tape())
        except UnrecordedCallError:
            decided = None
        then, otherwise = decided, ""
        if decided is None or bytes_of(decided) != recorded_cycle.outcome:
            differs = replay(recorded_cycle, rules[around], only_decisions=True).difference
            then = _decided_then(app, name, inputs.desk.now)
            otherwise = differs.what if differs else "port call"
        assert then is not None, "one of the two exists"
        again = PassSeen(decided or then, inputs.desk, inputs.proposed)
        pairs.append((replace(again, cycle=then, otherwise=otherwise), again))
    return pairs


def _decided_then(app: App, name: str, at: datetime) -> CycleRecord:
    """Return a pass's decisions from the facts, because its record has them only as bytes for comparison."""
    cycles = (
        cycle for job in (Job.TRADE_ONCE, Job.EVALUATE_EXITS) for cycle in app.facts.cycles(job=job, since=at - REACH)
    )
    then = next((cycle for cycle in cycles if cycle.id == name), None)
    if then is None:
        message = f"This program decides pass {name} differently than recorded, and the recorded decisions are lost."
        raise OperatorError(message, f"tradebot replay {name}")
    return then


def _strategies(app: App, settings: Settings, loaded: ExitStack) -> Sequence[Strategy]:
    """Return the strategies that traded with these settings: the bot's own if they are still its settings."""
    if settings.strategies == app.settings.strategies:
        return app.strategies
    return loaded.enter_context(loaded_strategies(settings, app.folder.path, os.environ))


def _known_until(app: App, session: Session, live: Sequence[PassSeen]) -> datetime:
    """Return the time up to which fills are in the books:

    a stop that fills after the last check is booked by the next one.
    """
    ledger = app.ledger_view
    compared, fills = ledger.last_reconcile(), ledger.fills_since(session.open)
    looks = [cycle.desk.now for cycle in live] + ([compared.at] if compared else []) + [fill.fill.at for fill in fills]
    return min(session.close, max(looks))


def _sent_requests(
    ledger: LedgerStores, session: Session, passes: Sequence[PassSeen], as_of: datetime
) -> Mapping[str, RequestWithFills]:
    """Return one side's requests in a session with their fills up to a time, and whether all are booked."""
    orders = {order.venue_id: order for order in ledger.orders()}
    records = {intent.intent.client_order_id: intent.intent for intent in ledger.intents(session=session.date)}
    slots = {pass_seen.cycle.id: pass_seen.slot for pass_seen in passes}
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders.values():
        booked[_root(orders, order.venue_id)] += order.filled_quantity
    fills: dict[str, list[Fill]] = defaultdict(list)
    for owned in ledger.fills_since(session.open):
        if owned.origin is Origin.VENUE and owned.strategy != FOREIGN and owned.fill.at <= as_of:
            fills[_root(orders, owned.fill.venue_order_id)].append(owned.fill)
    sent = dict[str, RequestWithFills]()
    for name, intent in records.items():
        slot = slots.get(intent.cycle_id) or (_job_of(intent), session.date, intent.key.slot)
        own = sorted(fills[name], key=lambda fill: fill.at)
        sent[_name(intent, orders, records)] = RequestWithFills(intent, slot, tuple(own), _is_booked(name, own, booked))
    return sent


def _job_of(intent: Intent) -> Job:
    return Job.TRADE_ONCE if intent.purpose is Purpose.OPEN else Job.EVALUATE_EXITS


def _root(orders: Mapping[str, Order], venue_id: str) -> str:
    """Return the client order id of the request behind an order; a leg belongs to its parent's."""
    order = orders.get(venue_id)
    while order is not None and order.parent is not None and order.parent in orders:
        order = orders[order.parent]
    return order.client_order_id if order else venue_id


def _name(intent: Intent, orders: Mapping[str, Order], records: Mapping[str, Intent]) -> str:
    """Return what identifies a request on both sides:

    its id or, for a change, its target, whose id depends on the venue.
    """
    if intent.operation is Operation.SUBMIT or intent.target_venue_id is None:
        return intent.client_order_id
    target = _root(orders, intent.target_venue_id)
    before = records.get(target)
    named = _name(before, orders, records) if before is not None and before is not intent else target
    return f"{intent.operation} {intent.cycle_id} {intent.key.generation} {named}"


def _is_booked(name: str, fills: Sequence[Fill], booked: Mapping[str, Decimal]) -> bool:
    """Return True if the books have as many filled shares of an order as the venue reported."""
    return name not in booked or booked[name] == sum((fill.quantity for fill in fills), Decimal(0))
