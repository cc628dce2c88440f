"""Prepare the desk before a pass acts: read it, halt the bot if there is a cause, and store the prices at which orders
arrived.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from tradebot.desk.auto_halt import halt_if_needed
from tradebot.desk.proposals import Proposals
from tradebot.desk.shocks import shocks_on
from tradebot.desk.snapshot import take_desk
from tradebot.errors import DamagedBooksError
from tradebot.model.bar import ClockReading
from tradebot.model.candidate import Purpose
from tradebot.model.desk import Desk
from tradebot.model.fact_kind import Drift
from tradebot.model.flow import FLOW_ALERTS
from tradebot.model.intent import IntentState
from tradebot.model.order import Order, Reply, WriteOutcome
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.signals.contracts import drifts
from tradebot.signals.kinds import kind_of

CURRENT = timedelta(days=1)
"""The age up to which a reply represents the source's current format."""


def desk_for_entries(world: World, proposed: Proposals, clocks: ClockReading | None = None) -> Desk:
    """Return the desk for evaluating proposals, including problems of the core signals behind them.

    The clocks are read unless the caller has just done so.
    """
    desk = take_desk(world, for_entries=True, clocks=clocks, symbols=_symbols(world, proposed))
    shocks = shocks_on(world, desk, proposed.moves)
    desk = desk if shocks is None else replace(desk, shocks=shocks)
    core_drifts = worst_core_drifts(world, proposed.reads, desk.now)
    return _acted_on(world, replace(desk, core_drifts=core_drifts) if core_drifts else desk)


def desk_for_exits(world: World, clocks: ClockReading | None = None) -> Desk:
    """Return the desk for evaluating exit rules. The clocks are read unless the caller has just done so."""
    return _acted_on(world, take_desk(world, for_entries=False, clocks=clocks, evaluates_exits=True))


def _acted_on(world: World, desk: Desk) -> Desk:
    desk = halt_if_needed(world, desk)
    record_arrival_midpoints(world, desk)
    return note_first_fills(world, desk)


def _symbols(world: World, proposed: Proposals) -> tuple[str, ...]:
    """Return the symbols that candidates name, in the order of the universe, followed by those outside it."""
    named = {candidate.symbol for candidate in proposed.candidates}
    return (*(s for s in world.rules.universe if s in named), *sorted(named - set(world.rules.universe)))


def record_arrival_midpoints(world: World, desk: Desk) -> None:
    """Store the current midpoint with each order that this desk is the first to see; not in a dry run.

    An order that arrived more than `limits.max_quote_age_s` ago gets none: the price has moved on since.
    """
    if not world.dry_run and (arrived := tuple(_new_orders(desk, world.rules.limits.max_quote_age_s))):
        world.ledger.apply_orders(arrived, desk.now)


def _new_orders(desk: Desk, most_s: int) -> Iterator[Order]:
    for order in desk.books.orders:
        quote = desk.quotes.get(order.symbol)
        if order.arrival_mid is not None or quote is None or order.submitted_at is None:
            continue
        is_new = 0 <= (desk.now - order.submitted_at).total_seconds() <= most_s
        if is_new and order.client_order_id in desk.books.intents_by_id:
            yield replace(order, arrival_mid=quote.middle)


def note_first_fills(world: World, desk: Desk) -> Desk:
    """Store the current midpoint with each entry whose first fill this desk shows; not in a dry run.

    It is stored as another reply to the entry's request, because these are journaled, so a rebuilt ledger has it too.
    Return the desk with the positions' updated terms.
    """
    filled = () if world.dry_run else tuple(_first_filled(desk))
    # A damaged journal halts the bot once it records an order; it doesn't keep a pass from reading.
    with suppress(DamagedBooksError):
        for order in filled:
            world.ledger.record_outcome(order.client_order_id, Reply(WriteOutcome.ACCEPTED, order), desk.now)
    if not filled:
        return desk
    entry_terms = world.ledger.entry_terms([position.key for position in desk.positions])
    return replace(desk, books=replace(desk.books, kept={**desk.books.kept, **entry_terms}))


def _first_filled(desk: Desk) -> Iterator[Order]:
    keys = {position.holding for position in desk.positions}
    for order in desk.books.orders:
        record, quote = desk.books.intents_by_id.get(order.client_order_id), desk.quotes.get(order.symbol)
        if order.fill_mid is not None or not order.filled_quantity or quote is None or record is None:
            continue
        entered = record.intent.purpose is Purpose.OPEN and record.intent.holding in keys
        if entered and record.state is IntentState.ACKED:
            yield replace(order, fill_mid=quote.middle)


def worst_core_drifts(world: World, reads: Mapping[str, frozenset[str]], now: datetime) -> Mapping[str, Drift]:
    """Return for each strategy the most harmful drift among the current replies that have its core signals.

    `reads` are the kinds of facts that each strategy reads. Entry gates read the alerts for every strategy.
    """
    if not reads:
        return {}
    replies = world.facts.suspicious_replies(now - CURRENT, now)
    harmful = [drift for drift in drifts(replies) if drift.breach.harms and kind_of(drift.kind).core]
    worst: dict[str, Drift] = {}
    for strategy, kinds in reads.items():
        concerned = [drift for drift in harmful if drift.kind in kinds | {FLOW_ALERTS}]
        if concerned:
            worst[strategy] = max(concerned, key=lambda drift: drift.share)
    return worst
