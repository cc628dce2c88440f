"""Run one pass of each job; commands, the schedule, the demo and tests all use these functions.

The caller prepares the desk from which a pass decides (`desk.prepare_desk`); only `flatten` and `cancel_on_request`
take a desk themselves.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from tradebot.desk.exit_inputs import watch_positions
from tradebot.desk.pass_result import finish_declined_pass, finish_exit_pass, finish_pass, refuse_pass
from tradebot.desk.proposals import Proposals, claim_strategy_slots, declined_record
from tradebot.desk.snapshot import restart_decision_timer, take_desk
from tradebot.desk.strategy_slots import finish_strategy_slots
from tradebot.gates.shared_gates import session_open, session_open_for_exits
from tradebot.model.candidate import Purpose
from tradebot.model.desk import Desk
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Pairs
from tradebot.orders.amendments import mark_if_cancel_rejected
from tradebot.orders.auction_trading import AuctionResult, hold_entry_auction, trade_by_ruling
from tradebot.orders.entry_orders import account_before_entries, candidates_to_trade, displace_if_full
from tradebot.orders.exit_orders import (
    cancel_blocking_orders,
    cancel_named_order,
    close_by_rules,
    close_manually,
    positions_to_protect,
    symbols_to_close,
)
from tradebot.orders.separate_protection import protect_separately
from tradebot.orders.stop_protection import protect
from tradebot.orders.working_orders import cancel_or_reprice, reprice_working_exits
from tradebot.ports.world import Call, World


def trade_once(
    world: World, call: Call, desk: Desk, proposed: Proposals, sent_records: dict[str, CandidateRecord] | None = None
) -> CycleRecord:
    """Close the positions that strategies want closed, then run every gate on each entry and send those that pass.

    The candidates were proposed before the desk was taken; the opening halves of contract rolls are added to them. Each
    candidate's gates see the account as updated by the candidates before it. If strategies use an auction, it decides
    before the first entry which of the competing entries get the remaining room. The records of sent orders are added
    to `sent_records` by client order id. So a pass that is called again after yielding to exits also reports the orders
    that it had already sent.
    """
    sent_records = {} if sent_records is None else sent_records
    session_gate = session_open(desk)
    if not session_gate.passed:
        return refuse_pass(world, call, desk, session_gate, tuple(sent_records.values()))

    proposed = claim_strategy_slots(world, call, proposed, desk.now)
    account, records = account_before_entries(world, call, desk), list(sent_records.values())
    candidates = candidates_to_trade(world, call, account, proposed, records)
    auction_result: AuctionResult | None = None
    for candidate in candidates:
        if auction_result is None and candidate.purpose is Purpose.OPEN:
            # Every close comes before the first entry, so the auction knows what room there is.
            auction_result = hold_entry_auction(world, call, account, candidates)
        account, traded = trade_by_ruling(world, call, account, candidate, auction_result)
        # For strategies with displacement: if an entry was refused only for lack of room, close a weaker position. The
        # entry itself is sent in a later pass.
        account, traded = displace_if_full(world, call, account, traded, proposed.candidates, records)
        # Restart the decision's timer, because waiting for the venue's reply doesn't count against the next decision.
        # `account` caches results of its gates, so replace it only if the desk has changed.
        if (desk_now := restart_decision_timer(world, account.desk)) is not account.desk:
            account = replace(account, desk=desk_now)
        records += traded
        sent_records |= {record.client_order_id: record for record in traded if record.client_order_id}

    finish_strategy_slots(world, call, proposed.own.asked, records, desk.now)
    # The record shows the desk that the pass began with.
    return finish_pass(world, call, desk, tuple(records), proposed)


def decline_all(world: World, call: Call, proposed: Proposals, now: datetime) -> CycleRecord:
    """Record a pass in which strategies decline all of their own entries, like `trade_once` but without a desk.

    Callers use it when they know that reading the account would change nothing.
    """
    proposed = claim_strategy_slots(world, call, proposed, now)
    records = tuple(map(declined_record, proposed.candidates))
    finish_strategy_slots(world, call, proposed.own.asked, records, now)
    return finish_declined_pass(world, call, now, records, proposed)


def evaluate_exits(
    world: World, call: Call, desk: Desk, canceled_entries: Mapping[str, CandidateRecord] | None = None
) -> CycleRecord:
    """Close positions by their exit rules, manage working orders, and place missing stops at the venue.

    Working orders that are stale or no longer allowed are canceled or repriced. `canceled_entries` maps the venue's
    order ids to records of entries that were canceled before this pass began; it reports them too.
    """
    canceled_entries = canceled_entries or {}
    session_gate = session_open_for_exits(desk, world.rules.limits)
    if not session_gate.passed:
        return refuse_pass(world, call, desk, session_gate, tuple(canceled_entries.values()))

    watched = watch_positions(world, desk)
    exits = close_by_rules(world, call, desk, watched)
    changed_orders = cancel_or_reprice(world, call, desk, symbols_to_close(exits), canceled_entries)
    staying = positions_to_protect(watched, exits)
    if world.venue.pairs is Pairs.NATIVE:
        stops = tuple(protect(world, call, desk, staying))
    else:
        # A separate stop keeps covering a position while it is being closed, so those positions are passed too. A
        # native pair needs nothing more: closing the position cancels it, or reprices its limit order as the exit.
        stops = tuple(protect_separately(world, call, desk, tuple(watched.values()), staying))
    return finish_exit_pass(world, call, desk, (*exits, *canceled_entries.values(), *changed_orders, *stops))


def flatten(
    world: World, call: Call, symbols: frozenset[str] | None, take_desk_now: Callable[[], Desk] | None = None
) -> CycleRecord:
    """Close our positions in these symbols, or all positions if `symbols` is None, and cancel our entries in them.

    A working exit is kept, and repriced so that it fills now, if it covers its position or is the limit order of a
    pair. Other exits are canceled, unless the venue hasn't confirmed the position: an exit may then be all that
    protects it. `take_desk_now` is called at the start, and again after an order was canceled; the default is to read
    the venue.
    """
    take_desk_now = take_desk_now or partial(take_desk, world, for_entries=False)
    desk = take_desk_now()
    session_gate = session_open_for_exits(desk, world.rules.limits)
    if not session_gate.passed:
        return refuse_pass(world, call, desk, session_gate)

    is_chosen: Callable[[str], bool] = lambda symbol: symbols is None or symbol in symbols  # noqa: E731
    canceled = tuple(cancel_blocking_orders(world, call, desk, is_chosen))
    if canceled:
        # A canceled order may have filled in the meantime, so look again at what there is to close.
        desk = _without_orders(desk, is_chosen) if world.dry_run else take_desk_now()
    cancels = tuple(mark_if_cancel_rejected(world, desk, record, (order,), desk.orders) for order, record in canceled)
    working_exits = reprice_working_exits(world, call, desk, is_chosen)
    closes = close_manually(
        world, call, working_exits, [position for position in desk.positions if is_chosen(position.symbol)]
    )
    return finish_exit_pass(world, call, desk, (*cancels, *working_exits.records, *closes))


def cancel_on_request(
    world: World, call: Call, order_id: str, take_desk_now: Callable[[], Desk] | None = None
) -> CycleRecord:
    """Cancel one of our working orders, named by its client order id; its position stays as it is.

    `take_desk_now` is called at the start, and again after the cancel was sent; the default is to read the venue.
    """
    take_desk_now = take_desk_now or partial(take_desk, world, for_entries=False)
    desk = take_desk_now()
    session_gate = session_open_for_exits(desk, world.rules.limits)
    if not session_gate.passed:
        return refuse_pass(world, call, desk, session_gate)

    canceled = tuple(cancel_named_order(world, call, desk, order_id))
    if canceled and not world.dry_run:
        desk = take_desk_now()
    cancels = tuple(mark_if_cancel_rejected(world, desk, record, (order,), desk.orders) for order, record in canceled)
    return finish_exit_pass(world, call, desk, cancels)


def _without_orders(desk: Desk, is_chosen: Callable[[str], bool]) -> Desk:
    """Return the desk without our orders in the chosen symbols, as it would be if a dry run had canceled them."""
    remaining = tuple(order for order in desk.book.own_orders if not is_chosen(order.symbol))
    return replace(desk, book=replace(desk.book, own_orders=remaining))
