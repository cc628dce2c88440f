"""Read the data for views from the bot's own records, never from the broker."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import APPROVALS
from tradebot.app.wiring import App
from tradebot.model.intent import Intent, IntentRecord
from tradebot.model.lifecycle import PendingWork, Records
from tradebot.model.limits import Protection
from tradebot.model.order import Order
from tradebot.model.position import EntryTerms, Position
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trade import Trade
from tradebot.model.trading import Mode, Request
from tradebot.reconciliation.unfinished_closes import unfinished_close
from tradebot.views.holdings import (
    Holding,
    RecordedPrice,
    UnfinishedClose,
    externally_closed,
    holdings,
    prices,
    suspended_in,
)
from tradebot.views.trades.lots import trades
from tradebot.views.trades.pieces import REACH
from tradebot.views.trades.trade_row import exit_reason

YESTERDAY = timedelta(days=1)
"""How far back a session's intents are read, because a session's date isn't always today's in UTC."""


def last_passes(facts: "SqliteFacts | None") -> "Sequence[CycleRecord]":
    """Return the last recorded exit and entry passes, and the last check at a close, oldest first.

    If the last pass was refused, for example because the venue didn't respond, this includes the last pass that did
    read the account.
    """
    if facts is None:
        return ()
    return sorted(_last_passes(facts), key=lambda cycle: cycle.at)


def _last_passes(facts: "SqliteFacts") -> "Iterator[CycleRecord]":
    for job in (Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE):
        for cycle in facts.cycles(job=job, last=1):
            before = facts.last_read(job) if cycle.equity is None else None
            if before is not None:
                yield before
            yield cycle


def approval_requests(app: "App") -> tuple[Request, ...]:
    """Return the newest requests for approval, oldest first."""
    # Without a file there are no requests, and reading must not create one.
    return tuple(reversed(app.approvals.newest())) if (app.folder.path / APPROVALS).exists() else ()


def waiting_approvals(app: "App", now: datetime) -> tuple[Request, ...]:
    """Return the entries that wait for a person's approval, oldest first."""
    return tuple(request for request in approval_requests(app) if request.waits(now))


def opening_of(app: "App", day: date) -> "tuple[datetime, Decimal] | None":
    """Return when the books were opened, and with how much cash.

    Return None unless they were opened shortly before `day` and without positions.
    """
    ledger = app.ledger_view
    at = ledger.books_opened_at()
    is_near = at is not None and app.day.date_of(at) >= day - REACH
    return (at, ledger.opening_cash()) if at and is_near and not ledger.acknowledged() else None


def age_reference_time(app: "App", times: Iterable[datetime | None]) -> datetime | None:
    """Return the time from which ages are computed.

    In the sandbox, whose clock stands still, it is the last recorded time. Elsewhere it is this machine's time, or a
    time recorded by the broker's clock if that is later.
    """
    if app.mode is not Mode.SANDBOX:
        return max([datetime.now(UTC), *(at for at in times if at is not None)])
    times_known = [at for at in (*times, app.ledger_view.books_opened_at()) if at is not None]
    return max(times_known, default=None)


def load_holdings(
    app: "App", totals: "Totals", passes: "Sequence[CycleRecord]", now: datetime | None
) -> "tuple[Holding, ...]":
    """Return every open position, foreign ones last, with the prices and gaps recorded by the last passes."""
    ledger = app.ledger_view
    own, foreign = totals.own_positions(), totals.foreign_quantities(ledger.acknowledged())
    terms = {
        (strategy, symbol): stored for (strategy, symbol, _), stored in ledger.entry_terms([p.key for p in own]).items()
    }
    at_venue = app.rules.exits.protection is not Protection.BOT
    exits_of, work = app.rules.exits_of, _work(app, now)
    gaps = [gap for cycle in passes for gap in cycle.gaps or ()]
    closes = unfinished_closes(ledger, own, now)
    going_on = {holding: UnfinishedClose.of(close) for holding, close in closes.items()}
    inputs, stopped = (terms, exits_of, _prices(app, own, passes), now, work, gaps), suspended_in(passes)
    return holdings(
        own,
        foreign,
        *inputs,
        at_venue=at_venue,
        unfinished=going_on,
        closed=externally_closed(totals),
        suspended=stopped,
    )


def _prices(app: "App", own: "Sequence[Position]", passes: "Sequence[CycleRecord]") -> "Mapping[str, RecordedPrice]":
    """Return each position's latest recorded price, from the last passes or else from an earlier one."""
    # Without passes, the facts may be damaged, and a command that only reads leaves them alone.
    prices_found, facts = prices(passes), app.existing_facts if passes else None
    for position in own:
        if facts and position.symbol not in prices_found:
            earlier = facts.last_marked(position.symbol, position.opened_at)
            prices_found |= {} if earlier is None else {position.symbol: prices([earlier])[position.symbol]}
    return prices_found


def unfinished_closes(
    ledger: "SqliteLedger", own: "Sequence[Position]", now: datetime | None
) -> "dict[tuple[str, str], Intent]":
    """Return the closes of the bot's positions that ended too early, which the next exit pass resumes."""
    if not own:
        return {}
    recent = ledger.recent_intents((now or datetime.now(UTC)).date() - YESTERDAY)
    of = defaultdict[tuple[str, str], list[IntentRecord]](list)
    for record in recent:
        of[record.intent.holding].append(record)
    pairs = ((each.holding, unfinished_close(ledger, of[each.holding], each)) for each in own if each.holding in of)
    return {holding: close for holding, close in pairs if close is not None}


def _work(app: "App", now: datetime | None) -> "Mapping[tuple[str, str], PendingWork]":
    ledger = app.ledger_view
    working = ledger.orders(working=True)
    chains = ledger.order_chains([order.venue_id for order in working])
    orders = {order.venue_id: order for orders in (working, *chains.values()) for order in orders}
    if untold := {order.venue_id: order for order in working if order.leads_pair}.keys() - _parents(orders.values()):
        # A stop that ended while its pair's limit works isn't an unreported stop.
        sent = min(orders[venue_id].submitted_at or datetime.min.replace(tzinfo=UTC) for venue_id in untold)
        orders |= {order.venue_id: order for order in ledger.orders(since=sent) if order.parent in untold}
    recorded = ledger.recorded_intents({order.client_order_id for order in orders.values()})
    recent = ledger.recent_intents((now or datetime.now(UTC)).date() - YESTERDAY)
    # Other answered intents have orders: those that work are read already, and the others are over.
    open_or_protecting = (record for record in recent if record.state.is_unresolved or record.intent.protects)
    records = Records().after((*orders.values(), *recorded.values(), *open_or_protecting))
    return records.work(ledger.filled_quantities(orders))


def _parents(orders: "Iterable[Order]") -> set[str]:
    return {order.parent for order in orders if order.parent}


def open_trades(app: "App", totals: "Totals") -> "tuple[Trade, ...]":
    """Return the trade behind each of the bot's open positions, in the order of opening."""
    ledger = app.ledger_view
    lots = {p.key: p.quantity for p in totals.own_positions()}
    if not lots:
        return ()
    since, terms = min(opened_at for _, _, opened_at in lots), ledger.entry_terms(lots)
    # Earlier trades are cut off there, so only trades whose quantity fits a position count.
    keyed = {(trade.strategy, trade.symbol, trade.opened_at): trade for trade in trades(ledger.fills_since(since))}
    open_rows = {key: row for key, row in keyed.items() if row.closed_at is None and row.open_quantity == lots.get(key)}
    reasons = exit_reasons(app, {order for trade in open_rows.values() for order in trade.exit_orders})
    return tuple(
        replace(trade.with_kept(terms.get(key, EntryTerms())), reasons=_distinct(map(reasons.get, trade.exit_orders)))
        for key, trade in open_rows.items()
    )


def exit_reasons(app: "App", venue_ids: "Collection[str]") -> "Mapping[str, str | None]":
    """Return why each of these orders closed shares, as recorded when it was sent; None if nothing was recorded."""
    chains = app.ledger_view.order_chains(venue_ids)
    recorded = app.ledger_view.recorded_intents({order.client_order_id for chain in chains.values() for order in chain})
    behind = {
        venue_id: [recorded[name].intent for order in chain if (name := order.client_order_id) in recorded]
        for venue_id, chain in chains.items()
    }
    return {venue_id: exit_reason(chains[venue_id][0], sent) for venue_id, sent in behind.items()}


def _distinct(reasons: "Iterable[str | None]") -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason for reason in reasons if reason is not None))
