"""What one pass of each job does. The same functions run by hand, on a schedule, in the demo and in tests.

A pass looks first (`desk.prepare_desk`), so each of these gets the desk that it acts on; only `flatten`
looks while it runs.
"""

from collections.abc import Callable, Mapping
from functools import partial

from tradebot.desk.contract_rolls import second_halves
from tradebot.desk.exit_inputs import watch
from tradebot.desk.own_slots import finish_judged
from tradebot.desk.pass_result import conclude, conclude_exits, refuse
from tradebot.desk.proposals import Proposals, claim_strategy_slots, sells_first
from tradebot.desk.snapshot import known_now, take
from tradebot.gates.common import session_open, session_open_to_leave
from tradebot.model.candidate import Purpose
from tradebot.model.desk import Desk
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.values import replace
from tradebot.model.venue import Pairs
from tradebot.orders.amendments import taken_back
from tradebot.orders.auction_trading import Auctioned, auction, settle
from tradebot.orders.entry_orders import account_of, make_room, swaps_if_approved
from tradebot.orders.exit_orders import cancel_in_the_way, close_by_hand, close_by_rules, kept_of, symbols_to_close
from tradebot.orders.separate_protection import protect_apart
from tradebot.orders.stop_protection import protect
from tradebot.orders.working_orders import end_or_reprice, keep_exits
from tradebot.ports.world import Call, World


def trade_once(
    world: World, call: Call, desk: Desk, proposed: Proposals, sent_before: dict[str, CandidateRecord] | None = None
) -> CycleRecord:
    """Close what strategies want to close, then run every gate on every entry and send those that pass.

    The candidates were proposed before the desk was taken; they are judged on it, and each one sees the desk and the
    book as the earlier ones leave them. `sent_before` collects the orders by our id. A pass that gave way gets them
    back, so that it reports them too.
    """
    sent_before = {} if sent_before is None else sent_before
    if not (session := session_open(desk)).passed:
        return refuse(world, call, desk, session)
    proposed = claim_strategy_slots(world, call, proposed, desk.now)
    account, records = account_of(world, call, desk), list(sent_before.values())
    done = {(record.candidate.strategy, record.candidate.symbol) for record in records}
    changes = swaps_if_approved(world, call, account, sells_first(world, desk, proposed, done))
    moving = [one for one in second_halves(desk, call.session) if (one.strategy, one.symbol) not in done]
    changes = sorted((*moving, *changes), key=lambda candidate: candidate.purpose is Purpose.OPEN)
    decided: Auctioned | None = None
    for candidate in changes:
        if decided is None and candidate.purpose is Purpose.OPEN:
            # Whatever leaves has left by now.
            decided = auction(world, call, account, changes)
        account, traded = settle(world, call, account, candidate, decided)
        account, traded = make_room(world, call, account, traded, proposed.candidates, records)
        # Waiting for the venue isn't deciding.
        account = replace(account, desk=known_now(world, account.desk))
        records += traded
        sent_before |= {record.client_order_id: record for record in traded if record.client_order_id}
    finish_judged(world, call, proposed.own.asked, records, desk.now)
    return conclude(world, call, desk, tuple(records), proposed)


def evaluate_exits(
    world: World, call: Call, desk: Desk, ended: Mapping[str, CandidateRecord] | None = None
) -> CycleRecord:
    """Close positions when an exit rule says so, and cancel or reprice working orders that are stale or not allowed.

    `ended` holds the entries that were canceled before this pass began, by the venue's order id, so that the pass
    reports them too.
    """
    ended = ended or {}
    if not (session := session_open_to_leave(desk, world.rules.limits)).passed:
        return refuse(world, call, desk, session)
    watched = watch(world, desk)
    exits = close_by_rules(world, call, desk, watched)
    changes = end_or_reprice(world, call, desk, symbols_to_close(exits), ended)
    kept, native = kept_of(watched, exits), world.venue.pairs is Pairs.NATIVE
    stops = (
        protect(world, call, desk, kept) if native else protect_apart(world, call, desk, tuple(watched.values()), kept)
    )
    return conclude_exits(world, call, desk, (*exits, *ended.values(), *changes, *stops))


def flatten(
    world: World, call: Call, symbols: frozenset[str] | None, look: Callable[[], Desk] | None = None
) -> CycleRecord:
    """Close our positions in the given symbols (None means all of them), and cancel our entries in them.

    An exit that works already goes on, at the price of this moment; so the stop of its pair stays in place too. `look`
    takes a desk, here and again once entries were canceled; without it, the world's own is taken.
    """
    look = look or partial(take, world, with_flow=False)
    desk = look()
    if not (session := session_open_to_leave(desk, world.rules.limits)).passed:
        return refuse(world, call, desk, session)
    named: Callable[[str], bool] = lambda symbol: symbols is None or symbol in symbols  # noqa: E731
    asked = tuple(cancel_in_the_way(world, call, desk, named))
    if asked:
        # A canceled order may have filled in the meantime, so read again what is left to close.
        desk = _as_if_canceled(desk, named) if world.dry_run else look()
    cancels = tuple(taken_back(world, desk, record, (order,), desk.orders) for order, record in asked)
    at_work = keep_exits(world, call, desk, named)
    closes = close_by_hand(world, call, at_work, [position for position in desk.positions if named(position.symbol)])
    return conclude_exits(world, call, desk, (*cancels, *at_work.records, *closes))


def _as_if_canceled(desk: Desk, named: Callable[[str], bool]) -> Desk:
    left = tuple(order for order in desk.book.own_orders if not named(order.symbol))
    return replace(desk, book=replace(desk.book, own_orders=left))
