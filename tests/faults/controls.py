"""Negative controls: each breaks one promise of ours on purpose, inside a forked child, and the judge must see it."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from commands.reconcile import run as reconcile
from commands.unhalt import run as unhalt
from tests.kit.bot import stage
from tests.kit.elsewhere.adapter import ElsewhereOrders, ElsewhereReader
from tradebot import cycle
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger import schema as ledger_schema
from tradebot.adapters.ledger.fills_and_cash import SqliteMoney
from tradebot.adapters.ledger.journal import Journal
from tradebot.adapters.ledger.states import TradingStates
from tradebot.adapters.recovery import backups, quarantine, rebuild
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.send_lock import FolderSendLock
from tradebot.app.wiring import App
from tradebot.desk import broker_consistency, pass_result, proposals, snapshot
from tradebot.desk.strategy_exposure import strategy_exposures
from tradebot.exits import rules
from tradebot.exits.exit_rule import Measure, WatchedPosition
from tradebot.exits.kinds.stops import StopLoss
from tradebot.gates import entry, shared_gates
from tradebot.model import totals
from tradebot.model.account import BrokerView
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, StrategyExposure
from tradebot.model.intent import ID_PREFIX, Intent, IntentKey, IntentRecord
from tradebot.model.order import Order, Reply, WriteOutcome
from tradebot.model.position import OwnedFill, Position, add
from tradebot.model.reasons import Reason
from tradebot.model.record import EXITING, CandidateRecord
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.venue import Capabilities, End, Proof
from tradebot.orders import (
    auction_trading,
    entry_orders,
    order_sender,
    separate_protection,
    stop_protection,
    working_orders,
)
from tradebot.orders.amendments import cancel_order, edit_intent
from tradebot.orders.entry_orders import trade_candidate
from tradebot.orders.order_sender import closing_side
from tradebot.orders.protection_plan import ProtectionState, ProtectionStep, is_busy, price_of, stop_steps
from tradebot.orders.stop_protection import round_stop_to_tick
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger
from tradebot.ports.world import Call, World
from tradebot.reconciliation import catch_up, protection, unresolved_requests
from tradebot.reconciliation import reconcile as reconcile_story
from tradebot.reconciliation.protection import protection_gaps
from tradebot.venues.alpaca.orders import AlpacaOrders
from tradebot.venues.kraken.orders import KrakenOrders

# Bots that are broken on purpose, one for each promise that lives are judged by; the judge has to see every one.


def profit_sign_inverted_for_shorts() -> None:
    """Books count what a short made as lost."""

    def wrong(before: Position, owned: OwnedFill) -> Position:
        after = add(before, owned)
        made = after.realized_pnl - before.realized_pnl
        return replace(after, realized_pnl=before.realized_pnl - made) if before.quantity < 0 else after

    vars(totals)["add"] = wrong


def stops_move_away() -> None:
    """Each pass moves resting stops a little away from profit."""
    usual = edit_intent

    def looser(
        call: Any, desk: Any, promised: Intent, order: Order, shares: Decimal, stop: Decimal, why: str
    ) -> Intent:
        assert order.stop_price is not None, "what isn't known isn't moved"
        away = order.stop_price * (1 - Decimal("0.01") * -order.side.sign)
        away = stop_protection.round_stop_to_tick(desk.listings[order.symbol], away, order.side)
        return usual(call, desk, promised, order, shares, away, why)

    vars(stop_protection)["_needs_tightening"] = lambda pair, *_: (
        bool(pair.stop and pair.stop.stop_price) and not pair.exiting
    )
    vars(stop_protection)["edit_intent"] = looser


def nothing_rests() -> None:
    """Nothing is placed at the venue, whatever the configuration says."""

    def none(*_: object) -> Iterator[CandidateRecord]:
        return iter(())

    vars(cycle)["protect"] = none


def exits_for_more() -> None:
    """Exits are for twice the shares, and the venue is asked to open what is beyond them."""
    usual = vars(stop_protection)["protectable"]
    vars(stop_protection)["protectable"] = lambda *given: 2 * usual(*given)


def first_rule_counts() -> None:
    """Of several rules that fire, the one that is listed first counts."""
    vars(rules)["_strength"] = lambda fired: True


def entries_without_a_yes() -> None:
    """Entries go out whether or not a person has said yes."""
    vars(entry_orders)["ask_approval"] = lambda *_: entry_orders.Consent()


def makes_room_while_demoted() -> None:
    """A strategy that may not enter closes what it would close to make room."""
    vars(proposals)["_blocked_strategies"] = lambda *_: {}


def opens_while_demoted() -> None:
    """A strategy's promotion isn't asked about."""
    vars(shared_gates)["promotion"] = lambda *_: None
    vars(entry)["promotion"] = lambda *_: None


LIFE_CONTROLS: Mapping[str, Callable[[], None]] = {
    control.__name__.replace("_", "-"): control
    for control in (
        profit_sign_inverted_for_shorts,
        stops_move_away,
        nothing_rests,
        exits_for_more,
        first_rule_counts,
        entries_without_a_yes,
        makes_room_while_demoted,
        opens_while_demoted,
    )
}


# Bots that are broken on purpose where positions and candidates compete, one for each law of an auction's log.


def open_before_the_close() -> None:
    """Open what a position gives way for in the very pass that asks for its close."""
    honest = auction_trading._swap

    def hasty(world: Any, call: Any, account: Any, refused: Any, *given: Any) -> Any:
        account, closed = honest(world, call, account, refused, *given)
        account, opened = trade_candidate(world, call, account, refused.candidate)
        return account, (*closed[:-1], *opened)

    vars(auction_trading)["_swap"] = hasty


def stops_replaced_by_looser_ones() -> None:
    """Replace each stop by one that is a thousandth of the price further from profit."""

    def looser(cover: ProtectionState, looser_by: Decimal) -> Iterator[ProtectionStep]:
        steps = tuple(stop_steps(cover, looser_by))
        yield from steps
        for stop in (one for one in cover.stops if not steps and cover.listing and not is_busy(one)):
            assert cover.listing is not None
            away = round_stop_to_tick(
                cover.listing, price_of(stop) * (1 + cover.side.sign * Decimal("0.001")), cover.side
            )
            yield ProtectionStep(Reason.STOP_TIGHTENED, stop.quantity, away, stop)

    vars(separate_protection)["stop_steps"] = looser


def old_stops_go_first() -> None:
    """Cancel a stop, and then place the one that takes its place."""

    def canceled_first(
        world: Any, call: Any, desk: Any, cover: ProtectionState, step: ProtectionStep
    ) -> Iterator[CandidateRecord]:
        for old in (*filter(None, (step.old,)), *step.others):
            yield cancel_order(world, call, desk, old.first, old.record, step.why)
        yield separate_protection._place_order(world, call, desk, cover, step)

    vars(separate_protection)["_place_before_cancel"] = canceled_first


AUCTION_CONTROLS: Mapping[str, Callable[[], None]] = {
    control.__name__.replace("_", "-"): control
    for control in (open_before_the_close, stops_replaced_by_looser_ones, old_stops_go_first)
}


def random_ids() -> None:
    """Name each order anew, so that a process that comes back does not know what it has promised."""

    def anew(self: IntentKey) -> str:
        return f"{ID_PREFIX}{self.role[:5].upper()}.{uuid4().hex[:24]}"

    IntentKey.client_order_id = anew  # type: ignore[method-assign]


def retry_on_post() -> None:
    """Send every order twice, as a client does that takes a slow answer for a lost one."""
    for orders in (AlpacaOrders, ElsewhereOrders, KrakenOrders):
        _twice(orders)


def _twice(orders: Any) -> None:
    once = orders._send

    def twice(self: object, *request: object, **named: object) -> Any:
        once(self, *request, **named)
        return once(self, *request, **named)

    orders._send = twice


def no_lock() -> None:
    """Send without the send lock, so that a halt does not wait for what is about to be sent."""

    @contextmanager
    def hold(self: FolderSendLock, intent: Intent) -> Iterator[None]:
        yield

    FolderSendLock.hold = hold  # type: ignore[method-assign]


def cached_halt() -> None:
    """Read the trading state once, and believe it across the POST."""
    read, kept = TradingStates.trading_state, list[TradingStateRecord]()

    def cached(self: TradingStates) -> TradingStateRecord:
        kept[:] = kept or [read(self)]
        return kept[0]

    TradingStates.trading_state = cached  # type: ignore[method-assign]


def reconcile_that_flattens() -> None:
    """Sell whatever is there at each comparison."""
    compare = reconcile.compare

    def flattening(app: App, by: str, plan: Any = None) -> Any:
        result = compare(app, by, plan)
        for position in result.view.positions:
            last = app.ledger.intents()[-1].intent
            app.orders.submit(
                replace(
                    last,
                    client_order_id=f"{ID_PREFIX}CLOSE.{uuid4().hex[:20]}",
                    instrument=replace(last.instrument, symbol=position.symbol),
                    side=closing_side(position.quantity),
                    quantity=abs(position.quantity),
                )
            )
        return result

    reconcile.compare = flattening
    vars(unhalt)["compare"] = flattening


def gate_after_the_post() -> None:
    """Send first, and write the promise with its verdicts afterwards."""

    def send(world: World, desk: Desk, intent: Intent, verdicts: tuple[Decision, ...]) -> Decision:
        if intent.purpose is not Purpose.OPEN or world.orders is None:
            return honest(world, desk, intent, verdicts)
        reply = world.orders.submit(intent)
        world.ledger.record_intent(intent, verdicts)
        world.ledger.record_outcome(intent.client_order_id, reply, desk.now)
        return Decision(Gate.SEND, Verdict.PASS, Reason.SENT)

    honest = order_sender.send
    vars(entry_orders)["send"] = send


def unknown_is_rejected() -> None:
    """Take an order of unknown fate for one that the venue refused, without asking."""

    def resolve(
        reader: BrokerReader, ledger: Ledger, unknown: Sequence[IntentRecord], now: datetime, passed: datetime
    ) -> bool:
        for record in unknown:
            ledger.record_outcome(record.intent.client_order_id, Reply(WriteOutcome.REJECTED, code="assumed"), now)
        return bool(unknown)

    unresolved_requests._resolve = resolve
    # An order that fills all the same is recognised by its fill, unless nobody asks whose that is.
    catch_up.find_orders_behind_fills = lambda *given: ((), 0)  # type: ignore[attr-defined]


def cancel_and_send_anew() -> None:
    """End an exit that is to have a new price, and leave the position bare until the next pass sends another."""

    def refused(self: AlpacaOrders, intent: Intent) -> Reply:
        return Reply(WriteOutcome.REJECTED, code="assumed")

    AlpacaOrders.replace = refused  # type: ignore[method-assign]
    vars(working_orders)["exit_anew"] = lambda *due: iter((cancel_order(*due),))


def synchronous_off() -> None:
    """Let SQLite go on before the disk has what it wrote."""

    def hasten(database: sqlite3.Connection) -> None:
        for statement in ("journal_mode = TRUNCATE", "synchronous = OFF", "foreign_keys = ON"):
            database.execute(f"PRAGMA {statement}")

    vars(ledger_schema)["_make_durable"] = hasten


def journal_not_synced() -> None:
    """Take what was written into the journal for what is on the disk."""
    Journal.sync = lambda self: self._head  # type: ignore[method-assign]


def folder_not_synced() -> None:
    """Take a name that was changed for one that is on the disk."""
    for module in (backups, journal, ledger_schema, quarantine, rebuild, state_folder, halt_switch):
        vars(module)["sync_folder"] = lambda path: None


def no_second_look() -> None:
    """Believe that it is as late as when the desk was taken, however long the process slept since."""
    vars(order_sender)["_too_late"] = lambda world, desk, intent: None


def one_fill_an_order() -> None:
    """Take the first fill of an order for all of it."""
    honest = SqliteMoney.apply_fills

    def first(self: SqliteMoney, fills: Iterable[OwnedFill], at: datetime) -> int:
        known = {owned.fill.venue_order_id for owned in self.fills()}
        return honest(self, [owned for owned in fills if owned.fill.venue_order_id not in known], at)

    SqliteMoney.apply_fills = first  # type: ignore[method-assign]


def no_stop() -> None:
    """Hold what has passed its stop."""
    honest = StopLoss.measure

    def holding(self: StopLoss, watched: WatchedPosition, price: Decimal) -> Measure:
        return honest(self, watched, price)._replace(closes=False)

    StopLoss.measure = holding  # type: ignore[method-assign]


def no_pairs() -> None:
    """Let nothing rest at the venue."""
    for name in ("protect", "protect_separately"):
        vars(cycle)[name] = lambda *asked: iter(())


def gaps_untold() -> None:
    """Tell nothing of shares without a stop."""
    vars(pass_result)["with_gaps"] = lambda world, desk, record: record


def gaps_cut_short() -> None:
    """Take an exit that was sent for the end of a gap."""
    vars(pass_result)["protection_gaps"] = lambda *given: (gap for gap in protection_gaps(*given) if gap.why != EXITING)


def halts_cancel_what_rests() -> None:
    """Cancel all that rests in each pass of exits while the bot is halted, stops and targets too."""
    honest = vars(working_orders)["_due"]

    def everything(world: World, desk: Desk, symbols_to_close: frozenset[str]) -> Iterator[Any]:
        if desk.state.state is TradingState.ACTIVE:
            yield from honest(world, desk, symbols_to_close)
        else:
            yield from ((*ours, Reason.HALTED) for ours in working_orders.our_working_orders(world, desk))

    vars(working_orders)["_due"] = everything


def loosen() -> None:
    """Move stops away from profit, a thousandth of the price at a time."""
    honest = edit_intent

    def away(
        call: Call, desk: Desk, promised: Intent, order: Order, shares: Decimal, stop: Decimal, why: str
    ) -> Intent:
        assert order.stop_price is not None
        looser = order.stop_price * (1 + order.side.sign * Decimal("0.001"))
        return honest(call, desk, promised, order, shares, looser.quantize(Decimal("0.01")), why)

    vars(stop_protection)["edit_intent"] = away
    vars(stop_protection)["_needs_tightening"] = lambda pair, *others: pair.stop is not None


def fate_not_asked() -> None:
    """Never look up an order whose answer was lost."""
    vars(unresolved_requests)["_resolve"] = lambda *asked: None


def believe_the_orders() -> None:
    """Take an order that the venue's list leaves out for one that is over."""
    for module in (broker_consistency, reconcile_story, protection):
        vars(module)["fillable_orders"] = lambda books: ()


def believe_the_positions() -> None:
    """Take the venue's lists of positions and fills for all that is held, whatever orders and fills have told."""
    vars(broker_consistency)["missing_fills"] = lambda *given: ()
    vars(broker_consistency)["differences"] = lambda *given: ()
    vars(broker_consistency)["_query_differing_positions"] = lambda world, reading: reading

    def listed(view: BrokerView, *given: Any) -> tuple[StrategyExposure, ...]:
        held = {position.symbol for position in view.positions}
        return tuple(stake for stake in strategy_exposures(view, *given) if stake.symbol in held or not stake.held)

    vars(snapshot)["strategy_exposures"] = listed


def ids_used_again() -> None:
    """Send a request again where its id may make a second order."""
    Capabilities.may_repeat = lambda self, operation: True  # type: ignore[method-assign]


def absent_is_over() -> None:
    """Take a request that the venue doesn't show yet for one that can't arrive any more."""
    honest = ElsewhereReader.end_of

    def hasty(self: ElsewhereReader, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        proof = honest(self, intent, sessions, now)
        return proof if proof.order else replace(proof, end=End.OVER)

    ElsewhereReader.end_of = hasty  # type: ignore[method-assign]


def decided_by_the_machine_clock() -> None:
    """Let gates tell what this machine's clock shows, which no pass was given."""
    honest: Callable[..., Decision] = vars(entry)["answer"]

    def by_the_clock(gate: Gate, passed: bool, reason: Reason, *numbers: Any) -> Decision:
        return replace(honest(gate, passed, reason, *numbers), age_s=time.monotonic())

    vars(entry)["answer"] = by_the_clock


CONTROLS: Mapping[str, Callable[[], None]] = {
    **AUCTION_CONTROLS,
    **{
        control.__name__.replace("_", "-"): control
        for control in (
            random_ids,
            retry_on_post,
            no_lock,
            cached_halt,
            reconcile_that_flattens,
            gate_after_the_post,
            unknown_is_rejected,
            cancel_and_send_anew,
            synchronous_off,
            journal_not_synced,
            folder_not_synced,
            no_second_look,
            one_fill_an_order,
            no_stop,
            no_pairs,
            gaps_untold,
            gaps_cut_short,
            halts_cancel_what_rests,
            loosen,
            fate_not_asked,
            believe_the_orders,
            believe_the_positions,
            entries_without_a_yes,
            ids_used_again,
            absent_is_over,
            decided_by_the_machine_clock,
        )
    },
}
stage.CONTROLS.update(CONTROLS)
