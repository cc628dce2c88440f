"""Prepare each open position for the exit rules, and store its best and worst prices so far."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import groupby, pairwise
from math import fsum, sqrt
from typing import Any

from tradebot.exits.exit_rule import WatchedPosition, best_price, exit_price, worst_price
from tradebot.exits.rules import Exits, evaluate_rules, nearest_stop
from tradebot.gates.shared_gates import closable_quantity
from tradebot.model.bar import Quote
from tradebot.model.desk import Desk
from tradebot.model.flow import FLOW_ALERTS, FlowAlert
from tradebot.model.instrument import Right
from tradebot.model.position import EntryTerms, ExitInputs, Key, Marks, Position
from tradebot.model.record import Scored, SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.model.venue_day import VenueDay
from tradebot.ports.world import World
from tradebot.signals.fields import new_york_day
from tradebot.signals.subjects.alerts import counting, flow_now, recent_alerts
from tradebot.signals.subjects.calendars import EVENT_READS, next_event
from tradebot.signals.subjects.market import REGIME_READS, market_state, regime
from tradebot.signals.subjects.open_interest import OI_CHANGE_KIND, OiChange
from tradebot.timetable.sessions import last_session


def watch_positions(world: World, desk: Desk) -> Mapping[Key, WatchedPosition]:
    """Store changed best and worst prices; return each open position with its stored terms and outlook.

    A dry run stores nothing.
    """
    watched = [_watched_position(desk, position) for position in desk.positions]
    moved = {
        watched_position.position.key: Marks(watched_position.best, watched_position.kept.worst)
        for watched_position in watched
        if _marks_moved(desk, watched_position)
    }
    if moved and not world.dry_run:
        world.ledger.put_marks(moved)
    return {watched_position.position.key: watched_position for watched_position in watched}


def add_exit_inputs(world: World, desk: Desk) -> Desk:
    """Return the desk with the inputs that the exit rules of its positions read besides prices."""
    watched = with_outlooks(world, desk, [_watched_position(desk, position) for position in desk.positions])
    return replace(
        desk, outlooks={watched_position.position.key: watched_position.outlook for watched_position in watched}
    )


def nearest_stops(world: World, desk: Desk) -> Mapping[str, Decimal]:
    """Return for each symbol the smallest adverse move that closes its position, as a fraction; leave out those without
    a stop.
    """
    stops = dict[str, Decimal]()
    for position in desk.positions:
        entry_terms = desk.books.kept.get(position.key, EntryTerms())
        rules = world.rules.exits_watching(position, entry_terms)
        fraction = nearest_stop(rules, position.average_price, entry_terms.instrument)
        if fraction is not None:
            stops[position.symbol] = min(fraction, stops.get(position.symbol, fraction))
    return stops


def stop_rests(desk: Desk, position: Position) -> bool:
    """Return True if stops that rest at the venue would close all of a position's whole lots, even without the bot."""
    listing, shares = desk.listing_of(position), closable_quantity(desk, position.symbol, position.quantity)
    stops = (rest for rest in desk.resting.get(position.holding, ()) if rest.can_trigger and not rest.ending)
    covered = sum((rest.quantity for rest in stops), Decimal(0))
    return 0 < (listing.whole_lots(shares) if listing else shares) <= covered


def closed_by_price(world: World, desk: Desk) -> Mapping[str, Mapping[Key, Decimal | None]]:
    """Return the positions that rules would close at the desk's quotes, by symbol, and how many shares; None means all.

    Only rules that look at a price are evaluated. The desk must have its exit inputs.
    """
    closed = defaultdict[str, dict[Key, Decimal | None]](dict)
    for position in desk.positions:
        watched, symbol = _watched_position(desk, position), position.symbol
        rules = tuple(rule for rule in world.rules.exits_watching(position, watched.kept) if rule.looks_at_price)
        if rules:
            quote, ratio = desk.quotes.get(symbol), desk.position_ratios.get(symbol, Decimal(1))
            call = evaluate_rules(watched, quote, desk.now, rules, TradingState.ACTIVE, ratio)
            if call.decision.passed:
                closed[symbol][position.key] = call.shares
    return closed


def _watched_position(desk: Desk, position: Position) -> WatchedPosition:
    entry_terms = desk.books.terms_of(position)
    quote = desk.quotes.get(position.symbol) if _same_shares(desk, position) else None
    marks, listing = update_marks(position, quote, entry_terms), desk.listings.get(position.symbol)
    watched_position = replace(
        entry_terms,
        best=marks.best,
        worst=marks.worst,
        instrument=listing.instrument if listing else entry_terms.instrument,
        minimum=listing.minimum if listing else None,
    )
    return WatchedPosition(position, marks.best, watched_position, desk.outlooks.get(position.key, ExitInputs()))


def update_marks(position: Position, quote: Quote | None, entry_terms: EntryTerms) -> Marks:
    return Marks(best_price(position, quote, entry_terms.best), worst_price(position, quote, entry_terms.worst))


def _marks_moved(desk: Desk, watched: WatchedPosition) -> bool:
    entry_terms = desk.books.kept.get(watched.position.key, EntryTerms())
    return _same_shares(desk, watched.position) and (entry_terms.best, entry_terms.worst) != (
        watched.best,
        watched.kept.worst,
    )


def _same_shares(desk: Desk, position: Position) -> bool:
    """Return False if the price is per share after an adjustment, such as a split, that isn't booked yet."""
    return desk.position_ratios.get(position.symbol, Decimal(1)) == 1


SCORES_KEPT = timedelta(days=8)
"""How far back scores are read: a week of sessions, and a long weekend."""
LEAST_CHANGES = 5
"""How many changes of a score are needed to estimate its noise."""
HOUR, LATE = timedelta(hours=1), timedelta(minutes=15)
"""The period over which momentum is measured, and how much older the earlier price may be."""
UNTIL_NEXT_MORNING = timedelta(days=5)
"""How long after the day of an entry the next session begins, at most."""


def with_outlooks(world: World, desk: Desk, watched: Sequence[WatchedPosition]) -> Iterator[WatchedPosition]:
    """Yield the positions in order, each with the inputs that its exit rules read."""
    reads = [
        {name for rule in world.rules.exits_of(watched_position.position.strategy) for name in rule.reads}
        for watched_position in watched
    ]
    facts = ExitFacts(
        world, desk, [watched_position for watched_position, names in zip(watched, reads, strict=True) if names]
    )
    for position, names in zip(watched, reads, strict=True):
        read_facts: dict[str, Any] = {name: read(facts, position) for name, read in READERS.items() if name in names}
        yield replace(position, outlook=ExitInputs(**read_facts)) if read_facts else position


class ExitFacts:
    """The stores' facts about the symbols of positions; each fact is read for all positions when it is first needed."""

    def __init__(self, world: World, desk: Desk, watched_positions: Sequence[WatchedPosition]) -> None:
        self._world = world
        self._desk = desk
        self._watched_positions = [watched.position for watched in watched_positions]
        self._symbols = tuple(dict.fromkeys(position.symbol for position in self._watched_positions))

    def scores(self, watched: WatchedPosition) -> tuple[float, ...]:
        """Return the scores of the position's symbol since it was opened, oldest first."""
        scored = self._scores.get(watched.position.key[:2], ())
        return tuple(candidate.score for candidate in scored if candidate.at >= watched.position.opened_at)

    def noise(self, watched: WatchedPosition) -> float | None:
        return score_noise(self._scores.get(watched.position.key[:2], ()), self._desk.books.day)

    def flow(self, watched: WatchedPosition) -> float | None:
        """Return the direction of the currently valid alerts, or None without a recent usable reply."""
        window, facts = self._world.rules.flow, self._facts.get(watched.position.symbol)
        if window is None or facts is None or facts.alerts_fetched_at is None or not facts.has_usable_alerts:
            return None
        if facts.alerts_fetched_at < self._desk.now - window.lookback:
            return None
        return flow_now(facts, counting(self._desk.now, window)).value

    def open_interest_kept(self, watched: WatchedPosition) -> Decimal | None:
        """Return the fraction of the contracts behind the entry that was still open the next morning."""
        window, symbol, opened = self._world.rules.flow, watched.position.symbol, watched.position.opened_at
        if window is None:
            return None
        before = tuple(alert for alert in self._alerts.get(symbol, ()) if alert.at <= opened)
        facts = SymbolFacts(symbol, {FLOW_ALERTS: before})
        behind = recent_alerts(facts, counting(opened, window)).alerts
        return kept_open(behind, self._changes.get(symbol, ()), new_york_day(opened), watched.direction)

    def regime(self, watched: WatchedPosition) -> str | None:
        """Return the market's regime by name, or None unless all its inputs are known."""
        state = market_state(self._market, self._desk.now)
        return None if state is None else regime(state)

    def event_at(self, watched: WatchedPosition) -> datetime | None:
        """Return the earliest time of the company's next event, such as its earnings report; None if unknown."""
        symbol = watched.position.symbol
        return next_event(self._facts.get(symbol) or SymbolFacts(symbol), self._market, self._desk.now)

    def momentum(self, watched: WatchedPosition) -> Decimal | None:
        """Return the symbol's return since the pass an hour ago, if that pass recorded its quote."""
        quote, before = self._desk.quotes.get(watched.position.symbol), self._hour_ago.get(watched.position.symbol)
        return None if quote is None or not before else exit_price(watched.position, quote) / before - 1

    def movement(self, watched: WatchedPosition) -> Decimal | None:
        """Return the distance between the best and the worst price as a fraction of the entry price."""
        worst = watched.kept.worst
        return None if worst is None else abs(watched.best - worst) / watched.position.average_price

    def liquidation(self, watched: WatchedPosition) -> Decimal | None:
        """Return the distance from the symbol's mark to the liquidation price, as a fraction of the mark."""
        return self._liquidations.get(watched.position.symbol)

    @cached_property
    def _liquidations(self) -> Mapping[str, Decimal]:
        book = self._desk.book
        if book.margin is None or book.margin.lacking():
            return {}
        return {
            liquidation.symbol: liquidation.distance
            for liquidation in book.margin.without_orders.liquidations(book.equity)
        }

    @cached_property
    def _scores(self) -> Mapping[tuple[str, str], Sequence[Scored]]:
        keys = {position.key[:2] for position in self._watched_positions}
        return self._world.facts.scores(keys, self._desk.now - SCORES_KEPT, self._desk.now)

    @cached_property
    def _facts(self) -> Mapping[str, SymbolFacts]:
        session = last_session(self._world.ledger, self._desk.now, self._world.venue.day)
        return self._world.facts.load(self._symbols, session, self._desk.now)

    @cached_property
    def _market(self) -> Mapping[str, object]:
        session = last_session(self._world.ledger, self._desk.now, self._world.venue.day)
        return self._world.facts.market(session, self._desk.now)

    @cached_property
    def _hour_ago(self) -> Mapping[str, Decimal]:
        until = self._desk.now - HOUR
        return self._world.facts.marks(until - LATE, until)

    @cached_property
    def _alerts(self) -> Mapping[str, Sequence[FlowAlert]]:
        return self._stored_facts(FLOW_ALERTS, timedelta())  # type: ignore[return-value]

    @cached_property
    def _changes(self) -> Mapping[str, Sequence[OiChange]]:
        return self._stored_facts(OI_CHANGE_KIND.name, UNTIL_NEXT_MORNING)  # type: ignore[return-value]

    def _stored_facts(self, kind: str, after: timedelta) -> Mapping[str, Sequence[object]]:
        """Return the facts from the day of the first entry into each symbol until `after` the day of its last one."""
        days: dict[str, list[date]] = {}
        for position in self._watched_positions:
            days.setdefault(position.symbol, []).append(new_york_day(position.opened_at))
        spans = {symbol: (min(entered), max(entered) + after) for symbol, entered in days.items()}
        return self._world.facts.stored(kind, spans, self._desk.now)


READERS: Mapping[str, Callable[[ExitFacts, WatchedPosition], object]] = {
    "scores": ExitFacts.scores,
    "noise": ExitFacts.noise,
    "flow": ExitFacts.flow,
    "open_interest_kept": ExitFacts.open_interest_kept,
    "regime": ExitFacts.regime,
    "event_at": ExitFacts.event_at,
    "momentum": ExitFacts.momentum,
    "movement": ExitFacts.movement,
    "liquidation": ExitFacts.liquidation,
}  # fmt: skip
"""Where each field of an outlook comes from, by the field's name."""
KINDS: Mapping[str, frozenset[str]] = {
    "flow": frozenset({FLOW_ALERTS}),
    "open_interest_kept": frozenset({FLOW_ALERTS, OI_CHANGE_KIND.name}),
    "regime": frozenset(kind.name for kind in REGIME_READS),
    "event_at": frozenset(kind.name for kind in EVENT_READS),
}
"""The kinds of facts from which a field is computed; the others come from recorded passes."""


def kinds_read(exits: Exits) -> frozenset[str]:
    """Return the kinds of facts that exit rules read, which have to be fetched for them."""
    return frozenset().union(*(KINDS.get(name, ()) for rule in exits for name in rule.reads))


def score_noise(scored: Iterable[Scored], day: VenueDay) -> float | None:
    """Return the standard deviation of the changes between successive scores of the same day.

    Overnight changes are left out, because more happens overnight than between two passes. Return None if there are too
    few changes.
    """
    days = groupby(scored, key=lambda bar: day.date_of(bar.at))
    changes = [after.score - before.score for _, of_day in days for before, after in pairwise(of_day)]
    if len(changes) < LEAST_CHANGES:
        return None
    mean = fsum(changes) / len(changes)
    return sqrt(fsum((change - mean) ** 2 for change in changes) / (len(changes) - 1))


def kept_open(
    alerts: Iterable[FlowAlert], changes: Iterable[OiChange], entered: date, direction: int
) -> Decimal | None:
    """Return the fraction of the contracts behind an entry that was still open the next morning.

    The contracts come from the alerts in the entry's direction, which is +1 for a long and -1 for a short. The growth
    in open interest, but at most the alerts' volume, counts as still open. A contract isn't counted if its change in
    open interest is unknown; return None if no contract's change is known.
    """
    traded: dict[str, int] = {}
    for alert in alerts:
        if alert.sign == direction:
            contract = option_symbol(alert)
            traded[contract] = max(traded.get(contract, 0), alert.volume)
    later = [change for change in changes if change.date > entered]
    morning = min((change.date for change in later), default=None)
    grown = {change.option_symbol.replace(".", ""): change.change for change in later if change.date == morning}
    volumes = {contract: volume for contract, volume in traded.items() if volume and contract in grown}
    if not volumes:
        return None
    stayed = sum(min(max(grown[contract], 0), volume) for contract, volume in volumes.items())
    return Decimal(stayed) / sum(volumes.values())


def option_symbol(alert: FlowAlert) -> str:
    """Return the OCC symbol of an alert's option: its root, expiry, right and strike times 1,000."""
    right = "C" if alert.right is Right.CALL else "P"
    return f"{alert.symbol.replace('.', '')}{alert.expiry:%y%m%d}{right}{int(alert.strike * 1000):08d}"
