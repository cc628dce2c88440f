"""One pass's reading of the venue, held against the books: neither is believed where the two contradict each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from tradebot.errors import TradebotError
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.desk import Difference
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.order import Order
from tradebot.model.position import OwnedFill
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Ledger
from tradebot.ports.world import World
from tradebot.reconciliation.account import require_account
from tradebot.reconciliation.apply_activities import astray, explained
from tradebot.reconciliation.catch_up import catch_up, latest_orders, left_out, may_fill, read_view
from tradebot.reconciliation.findings import position_findings, quantities
from tradebot.reconciliation.missing_fills import WATCHED, MissingFill, missing_fills
from tradebot.reconciliation.new_fills import new_fills


@dataclass(frozen=True, slots=True)
class Reading:
    """What the venue and the books say together.

    `view.orders` holds everything that may still fill by either, `orders` the same without what the venue itself has
    declared over and still lists. `left_out` are our orders that its list omits. `differences` are positions that no
    fill on its way explains, `ratios` the broker's shares as multiples of ours where they differ. `unproven` are
    symbols of ours that the venue, asked directly, did not confirm to hold. `missing` are our orders that have filled
    more than any list of fills has brought yet, `untold` counts orders behind foreign fills that it did not tell.
    """

    view: BrokerView
    orders: tuple[Order, ...]
    left_out: tuple[Order, ...]
    differences: tuple[Difference, ...]
    ratios: Mapping[str, Decimal]
    missing: tuple[MissingFill, ...]
    unproven: frozenset[str] = frozenset()
    untold: int = 0

    @property
    def agrees(self) -> bool:
        """Return True if venue and books say the same of every order and position of ours."""
        return self.view.steady and not (self.left_out or self.differences or self.ratios)


def read_venue(world: World, now: datetime, session: date, *, closing: bool) -> Reading:
    """Read the venue and bring the books up to date; a dry run writes nothing and allows for what it would write.

    Where the two differ the venue is read once more, because a fill may have come between two of its answers.
    `closing` passes ask directly for each position of ours on which list and books differ: an exit trades only what
    the venue confirms.
    """
    reading = _look(world, now, session, first=True)
    if reading.agrees:
        return reading
    reading = _look(world, now, session, first=False)
    if closing and reading.ratios:
        reading = _asked_directly(world, reading)
    if not world.dry_run:
        for event in _events(reading, now):
            world.events.emit(event)
    return reading


def _look(world: World, now: datetime, session: date, *, first: bool) -> Reading:
    """Read the venue once; only the first look asks for the activities that may explain a difference."""
    reader, ledger = world.reader, world.ledger
    view = read_view(reader, ledger)
    require_account(ledger, view.account)
    pending, ended, untold = tuple[OwnedFill, ...](), frozenset[str](), 0
    if world.dry_run:
        pending, unreadable = new_fills(reader, ledger, now)
        view = replace(view, unreadable=view.unreadable + unreadable)
        latest = latest_orders(reader, ledger, view.orders)
        ended = frozenset(order.venue_id for order in latest if order.status.terminal)
    else:
        caught = catch_up(reader, ledger, view.orders, session, now)
        view, untold = replace(view, unreadable=view.unreadable + caught.unreadable), caught.untold
    ratios = explained(reader, ledger, view, now, writes=first and not world.dry_run)
    known = {order.venue_id for order in (view.orders if world.dry_run else ledger.orders(working=True))}
    omitted = tuple(o for o in left_out(may_fill(ledger, session), view.orders) if o.venue_id not in ended)
    fills = (*ledger.fills(), *pending)
    missing = missing_fills(ledger.orders(since=now - WATCHED), ledger.owners(), fills, now)
    return Reading(
        view=replace(view, orders=(*view.orders, *omitted)),
        orders=(*(order for order in view.orders if order.venue_id in known), *omitted),
        left_out=omitted,
        differences=differences(ledger, fills, missing, view.positions),
        ratios=ratios,
        missing=missing,
        untold=untold,
    )


def differences(
    ledger: Ledger, fills: Sequence[OwnedFill], missing: Sequence[MissingFill], positions: Iterable[BrokerPosition]
) -> tuple[Difference, ...]:
    """Return the positions on which the broker and these fills differ, and no fill on its way can explain it."""
    held = quantities(fills, ledger.acknowledged())
    found = (one for one in position_findings(held, fills, (), positions) if one.blocking)
    differing = (Difference(f.subject, f.ours or Decimal(0), f.broker or Decimal(0)) for f in found)
    return tuple(one for one in differing if not _on_its_way(one, ledger, missing))


def _on_its_way(one: Difference, ledger: Ledger, missing: Iterable[MissingFill]) -> bool:
    """Return True if fills that are known to be missing, or may be, add up to the difference."""
    changes = [filled.signed for filled in missing if filled.order.symbol == one.symbol]
    unresolved = (record.intent for record in ledger.intents(unresolved=True) if record.intent.makes_order)
    changes += [i.quantity * i.side.sign for i in unresolved if i.instrument.symbol == one.symbol]
    least, most = (sum((c for c in changes if c * sign > 0), Decimal(0)) for sign in (-1, 1))
    return least <= one.broker - one.books <= most


def _asked_directly(world: World, reading: Reading) -> Reading:
    """Return the reading with the venue's direct answer about each position on which its list and the books differ."""
    told = {symbol: _position(world.reader, symbol) for symbol in reading.ratios}
    others = (position for position in reading.view.positions if position.symbol not in told)
    view = replace(reading.view, positions=(*others, *(position for position in told.values() if position)))
    ratios = astray(world.ledger.fills(), world.ledger.acknowledged(), view)
    unproven = frozenset(symbol for symbol, position in told.items() if position is None)
    return replace(reading, view=view, ratios=ratios, unproven=unproven)


def confirmed(reading: Reading, held: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    """Return the broker's signed shares by symbol, as few of them as both sides still see there.

    `held` is what the booked fills give. An exit that has filled may show in neither list yet: what its order tells
    is gone, and nothing may be sold twice.
    """
    net = {position.symbol: position.quantity for position in reading.view.positions}
    on_their_way: dict[str, Decimal] = defaultdict(Decimal)
    for filled in reading.missing:
        on_their_way[filled.order.symbol] += filled.signed
    for symbol, change in on_their_way.items():
        there, expected = net.get(symbol, Decimal(0)), held.get(symbol, Decimal(0)) + change
        net[symbol] = min(there, expected, key=abs) if there * expected > 0 else Decimal(0)
    return net


def _position(reader: BrokerReader, symbol: str) -> BrokerPosition | None:
    """Return the venue's position in a symbol; None where it says that there is none, or does not answer."""
    try:
        return reader.position(symbol)
    except TradebotError:
        return None


def _events(reading: Reading, now: datetime) -> Iterator[SystemEvent]:
    for order in reading.left_out:
        details = {"order": order.client_order_id, "status": order.status.value}
        yield SystemEvent(now, "venue", "order_left_out", Severity.WARN, order.symbol, details)
    for one in reading.differences:
        details = {"books": f"{one.books:f}", "broker": f"{one.broker:f}"}
        yield SystemEvent(now, "venue", "position_differs", Severity.ERROR, one.symbol, details)
    for symbol in sorted(reading.unproven):
        details = {"what": "the venue did not confirm this position when asked directly"}
        yield SystemEvent(now, "venue", "position_unproven", Severity.CRITICAL, symbol, details)
