"""Find positions due to roll into the next contract, and rolls whose opening half is still missing.

A roll consists of two intents: a close, then an open. The ledger stores only the first, a close whose reason names the
next contract. The quantity that the closes have filled and that the entries haven't opened yet must still be opened,
even after a crash. A roll ends with its session: in the next session, the strategy decides again.

When rules are built (`app.rules`), the contract chosen for a root replaces the root in the universe. A position in an
earlier contract keeps its stops and exits, and is rolled at its scheduled time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.desk.listing_lookup import read_listings
from tradebot.errors import TradebotError
from tradebot.exits.exit_reasons import ROLLED_INTO, ReasonPart, compose, parse
from tradebot.gates.expiry import date_on, rolling_of
from tradebot.gates.shared_gates import blocks_entries, position_of
from tradebot.model.books import Books
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.event import EventKind
from tradebot.model.instrument import ContractMonth, Listing, Rolling
from tradebot.model.intent import Intent, Operation, own_slot
from tradebot.model.order import Order
from tradebot.model.position import EntryTerms, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.registry import DiscoveredContract, Discovery
from tradebot.model.series import DAY
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World
from tradebot.signals.roll_dates import EARLIEST, RollOut, Volumes, by_day, earlier, roll_out_date
from tradebot.timetable.sessions import BEGINS_AHEAD, ENDS_LATE

LEAVING, SOURCE = "exit", "roll"
"""The components of a roll's two halves. No strategy uses these names."""
NOTHING = Decimal(0)


class Move(Struct, frozen=True):
    """A roll in progress: its first close, the contract that it rolls into, and how many units it still has to open."""

    close: Intent
    into: str
    owed: Decimal


def roll_due(desk: Desk, position: Position) -> Rolling | None:
    """Return a position's roll into the next contract if it is due now.

    A roll waits for the venue's liquid hours, except on its last day if none are left. While entries are blocked, a
    roll waits until its last day, because the position could be closed but not opened again. So does that of a strategy
    that isn't promoted.
    """
    rolling, today = rolling_of(desk, position.symbol), date_on(desk)
    if rolling is None or not rolling.is_due(today, desk.books.day.local(desk.now).time()):
        return None
    hours = desk.hours_of(position.symbol)
    last, over = today == rolling.until, today > rolling.until
    if hours and not over and not hours.is_liquid(desk.now) and (not last or hours.becomes_liquid(desk.now, today)):
        return None
    may_open = blocks_entries(desk, position.strategy) is None
    return rolling if may_open or today >= rolling.until else None


def roll_exit_reason(rolling: Rolling) -> ReasonPart:
    """Build the exit reason that names a roll's next contract."""
    return ReasonPart(ROLLED_INTO, symbol=rolling.into)


def begins_move(desk: Desk, candidate: Candidate) -> bool:
    """Return True if a close is the first half of a roll, which opens the position again in the next contract."""
    rolling = rolling_of(desk, candidate.symbol)
    return rolling is not None and (candidate.source, candidate.why) == (LEAVING, compose((roll_exit_reason(rolling),)))


def with_entry_terms(candidate: Candidate, entry_terms: EntryTerms) -> Candidate:
    """Add the position's entry terms to a close, so that it can be opened again in the next contract."""
    return replace(
        candidate,
        score=entry_terms.entry_score,
        components=entry_terms.components,
        stop_loss_fraction=entry_terms.stop_loss_fraction,
        profit_target_fraction=entry_terms.profit_target_fraction,
        targets=entry_terms.targets,
        atr_fraction=entry_terms.atr_fraction,
        invalid_fraction=entry_terms.invalid_fraction,
        cluster=entry_terms.cluster,
    )


def unfinished_rolls(books: Books, session: date) -> Iterator[Move]:
    """Yield the unfinished rolls of a session."""
    begun = dict[tuple[str, str, str], Intent]()
    for record in books.intents_of_session(session):
        intent = record.intent
        if intent.operation is Operation.SUBMIT and _leads_into(intent):
            begun.setdefault((*intent.holding, intent.why), intent)
    for close in begun.values():
        following = _leads_into(close)
        owed = _closed_contracts(books, close) - _opened_contracts(books, close, following)
        if owed > 0:
            yield Move(close, following, owed)


def partly_rolled_contracts(books: Books, session: date) -> tuple[str, ...]:
    """Return the contracts in which rolls of a session still have to open positions."""
    return tuple(move.into for move in unfinished_rolls(books, session))


def owed_roll_entries(
    desk: Desk, session: date, records_since: Callable[[datetime], Iterable[CandidateRecord]]
) -> list[Candidate]:
    """Return the entries still to be made for rolls whose position in the old contract is closed.

    `records_since` returns what strategies have wanted since a time. No more is opened than a strategy's last target
    wants, and nothing if it is flat or on the other side.
    """
    candidates = list[Candidate]()
    for move in unfinished_rolls(desk.books, session):
        close, listing = move.close, desk.listings.get(move.into)
        if listing is None or position_of(desk, close.holding):
            continue
        sign, position = -close.side.sign, position_of(desk, (close.key.strategy, move.into))
        now, owed = position.quantity if position else NOTHING, move.owed
        target = _last_target(move, records_since(close.at))
        if target is not None:
            owed = min(owed, (target - now) * sign)
        if owed <= 0:
            continue
        candidates.append(
            Candidate(
                strategy=close.key.strategy,
                instrument=listing.instrument,
                side=Side.of(sign),
                purpose=Purpose.OPEN,
                at=desk.now,
                score=close.score,
                components=close.components,
                quantity=owed,
                source=SOURCE,
                decisions=(Decision(Gate.TARGET, Verdict.PASS, None, now, now + sign * owed),),
                want=WantKind.TARGET,
                stop_loss_fraction=close.stop_loss_fraction,
                profit_target_fraction=close.profit_target_fraction,
                slot=_slot(close),
                slot_session=session,
                targets=close.targets,
                atr_fraction=close.atr_fraction,
                invalid_fraction=close.invalid_fraction,
                cluster=close.cluster,
            )
        )
    return candidates


def _last_target(move: Move, records: Iterable[CandidateRecord]) -> Decimal | None:
    """Return the last target of a roll's strategy for the root, in contracts; None if it had none since.

    A want to close is a target of zero. What the strategy itself declined, or the bot withheld, doesn't count.
    """
    holdings, target = (move.close.holding, (move.close.key.strategy, move.into)), None
    for record in records:
        candidate = record.candidate
        if (candidate.strategy, candidate.symbol) not in holdings or candidate.source == SOURCE:
            continue
        if any(each.gate is Gate.STRATEGY and not each.passed for each in record.decisions):
            continue
        if candidate.want is WantKind.CLOSE:
            target = NOTHING
        for each in record.decisions:
            if each.gate is Gate.TARGET and each.limit is not None and _counts(each):
                target = Decimal(each.limit)
    return target


def _counts(target: Decision) -> bool:
    return target.passed or target.reason is Reason.TARGET_REACHED


def _slot(close: Intent) -> str:
    """Return the name of the slot for a roll's second half, which includes the contract that was closed."""
    return f"{SOURCE} {close.key.symbol}"


def _leads_into(intent: Intent) -> str:
    """Return the contract that an order rolls a position into, by its reason; empty for any other order."""
    if intent.purpose is Purpose.OPEN or not intent.makes_order:
        return ""
    with suppress(ValueError):
        return next((part.symbol for part in parse(intent.why) if part.name == ROLLED_INTO), "")
    return ""


def _closed_contracts(books: Books, close: Intent) -> Decimal:
    """Return how many contracts the closes of a roll have filled, as booked."""
    same = (order for order, intent in _orders(books) if (intent.holding, intent.why) == (close.holding, close.why))
    return sum((books.filled.get(order.venue_id, NOTHING) for order in same), NOTHING)


def _opened_contracts(books: Books, close: Intent, following: str) -> Decimal:
    """Return how many contracts the second half of a roll has opened, or may still open."""

    def is_second(intent: Intent) -> bool:
        of = (intent.key.strategy, intent.key.symbol, intent.key.slot, intent.purpose)
        return intent.makes_order and of == (close.key.strategy, following, own_slot(_slot(close)), Purpose.OPEN)

    lost = {
        record.intent.client_order_id: record.intent for record in books.unresolved_intents if is_second(record.intent)
    }
    total = sum((intent.quantity for intent in lost.values()), NOTHING)
    for order, intent in _orders(books):
        if is_second(intent) and intent.client_order_id not in lost:
            total += books.filled.get(order.venue_id, NOTHING)
            total += NOTHING if order.status.terminal else order.open_quantity
    return total


def _orders(books: Books) -> Iterator[tuple[Order, Intent]]:
    """Yield each known order of ours once, with the intent that made it."""
    orders = {order.venue_id: order for chain in books.chains.values() for order in chain}
    orders |= {order.venue_id: order for order in books.orders}
    for order in orders.values():
        record = books.intents_by_id.get(order.client_order_id)
        if record is not None:
            yield order, record.intent


Months = Callable[[str, date, date], Sequence[ContractMonth]]
"""Return the contracts of a root to be rolled out of between two dates, in order, and the one after them."""
_LATE = timedelta(days=10)
"""How much later than its exchange's rules say a venue may end a contract."""
_VOLUMES = BarNeed(DAY, EARLIEST.days, adjusted=False)


class _RootContract(NamedTuple):
    """The contract that a root refers to, whether volume decided it, and which volumes weren't known."""

    symbol: str
    by_volume: bool = False
    unknown: str = ""


def choose(world: World, months: Months, names: Sequence[str], now: datetime) -> Discovery:
    """Return the contracts chosen for root names in the current session; store them and emit what changed.

    A choice stays for the whole session, whatever becomes known during it. A dry run stores and emits nothing.
    """
    before, session = world.facts.discovery(), _session(world, now)
    coin = world.rules.coin
    roots = {coin(symbol): symbol for symbol in before.symbols}
    if before.at is not None and _session(world, before.at) == session and [*roots] == [*map(coin, names)]:
        return before
    by_root = dict[str, _RootContract]()
    for name in names:
        by_root[coin(name)] = _contract_for_root(world, months, name, session, now)
    chosen = Discovery(tuple(DiscoveredContract(contract.symbol, now) for contract in by_root.values()), now)
    if not world.dry_run:
        world.facts.put_discovery(chosen)
        for root, contract in by_root.items():
            if contract.symbol != roots.get(root) or contract.unknown:
                details = {
                    "root": root,
                    "before": roots.get(root, ""),
                    "by": "volume" if contract.by_volume else "date",
                }
                unknown = {"unknown": contract.unknown} if contract.unknown else {}
                world.events.emit(EventKind.CONTRACT_CHOSEN.at(now, {**details, **unknown}, contract.symbol))
    return chosen


def with_earlier_rolls(
    listings: Mapping[str, Listing], current_contracts: frozenset[str], today: date
) -> Mapping[str, Listing]:
    """Mark a contract as due to roll now if its root already stands for the next contract, and return the listings."""
    rolled = dict(listings)
    for symbol, listing in listings.items():
        rolling = listing.rolling
        if rolling is not None and rolling.into in current_contracts:
            rolled[symbol] = replace(listing, rolling=earlier(rolling, today))
    return rolled


def _session(world: World, at: datetime) -> date:
    """Return the date of the session at a moment, or of that day if the market is closed."""
    day = at.date()
    sessions = world.ledger.sessions(day - ENDS_LATE, day + BEGINS_AHEAD)
    return next((session.date for session in sessions if session.contains(at)), world.venue.day.date_of(at))


def _contract_for_root(world: World, months: Months, name: str, session: date, now: datetime) -> _RootContract:
    try:
        return _RootContract(world.rules.perpetual(name))
    except ValueError:
        pass
    listed = tuple(_as_listed(world, months(name, session - _LATE, session + EARLIEST)))
    by_volume = False
    for month in listed:
        if month.rolling.on <= session:
            continue
        if session < month.rolling.on - EARLIEST:
            return _RootContract(month.symbol, by_volume)
        when, unknown = _roll_out_of(world, month, session, now)
        if when.on > session:
            return _RootContract(month.symbol, by_volume, unknown)
        by_volume = True
    raise AssertionError(f"{name} has no contract month on {session}")


def _as_listed(world: World, months: Sequence[ContractMonth]) -> Iterator[ContractMonth]:
    """Yield months with the venue's roll dates, or with its exchange's if the venue doesn't list the month."""
    listings = read_listings(world, [month.symbol for month in months])
    for month in months:
        listing = listings.get(month.symbol)
        yield month._replace(rolling=listing.rolling) if listing and listing.rolling else month


def _roll_out_of(world: World, month: ContractMonth, session: date, now: datetime) -> tuple[RollOut, str]:
    """Return when to roll out of a month, by volumes before a session, and which volumes are unknown."""
    symbols = month.symbol, month.rolling.into
    try:
        bars = world.bars.closed(_VOLUMES, symbols, now)
    except TradebotError as away:
        return RollOut(month.rolling.on), away.message
    volumes = dict[str, Volumes]()
    for symbol in symbols:
        every = by_day(bars.get(symbol), "volume", world.venue.day)
        volumes[symbol] = {day: volume for day, volume in every.items() if day < session}
    lacking = [symbol for symbol in symbols if not volumes[symbol]]
    if lacking:
        return RollOut(month.rolling.on), f"no bars of {' and '.join(lacking)}, so only the date counts"
    return roll_out_date(month.rolling, *(volumes[symbol] for symbol in symbols)), ""
