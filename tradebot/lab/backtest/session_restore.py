"""Bring an exchange and a bot's books back to the open of a recorded session, apart from the bot's folder."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from papervenue.exchange import open_exchange
from papervenue.jsontext import encode
from papervenue.log import NOTE, REQUEST, RESTORE_BOTH, read_event
from papervenue.market.daily import DailyBars, kept_days
from papervenue.market.spec import MarketError
from papervenue.state import ACTIONS_FILE, BARS_FILE, DAYS_FILE, LOG_FILE, MARKET_FILE, read_market
from papervenue.times import from_datetime, parse_time, to_datetime
from tradebot.adapters.ledger.rows import IntentRow, MarksRow, StoredOrder
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.app.sandbox import translate_exchange_errors
from tradebot.app.venues import door_to
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.http_exchange import ports_at
from tradebot.lab.backtest.setup import USUAL
from tradebot.lab.backtest.venue import EngineVenue
from tradebot.model.position import Marks
from tradebot.model.trading import ReconcileMark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.adapters.ledger.tables import LedgerTables
    from tradebot.app.settings import Settings
    from tradebot.model.books import Books
    from tradebot.ports.broker import OrderPort
    from tradebot.ports.stores import Bars
    from tradebot.venues.door import Reader

FILES = (MARKET_FILE, BARS_FILE, DAYS_FILE, ACTIONS_FILE)
"""What an exchange's market is made of."""
LONG_AGO, MOMENT = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
REACH_DAYS = 70
"""How long ago a slot of a strategy's own clock may have begun that still counts."""


class ReplayPorts(NamedTuple):
    """The ports for replaying a recorded session: an exchange, its bars and its clock, which `advance` moves."""

    reader: Reader
    orders: OrderPort
    bars: Bars
    now: Callable[[], datetime]
    advance: Callable[[datetime], None]
    slippage_bps: Decimal


@contextmanager
def exchange_at(place: Path, at: datetime) -> Iterator[Path]:
    """Yield a copy of an exchange's folder as its log leaves it just before a moment.

    Raises OperatorError if the log can't be read.
    """
    with TemporaryDirectory(prefix="parity-") as folder, translate_exchange_errors():
        copy = Path(folder)
        for name in FILES:
            if (place / name).exists():
                (copy / name).write_bytes((place / name).read_bytes())
        (copy / LOG_FILE).write_bytes(b"".join(_lines_before(place / LOG_FILE, at)))
        yield copy


def ground_at(place: Path, settings: Settings, ledger: MemoryLedger) -> ReplayPorts:
    """Open the exchange of a folder, and return what a bot with these settings plays on there."""
    spec = read_market(place).spec
    if spec.venue.dialect != USUAL:
        reader, orders, bars, time = ports_at(place, settings, ledger.sessions)
        moves: Callable[[datetime], None] = lambda to: time.advance(from_datetime(to))  # noqa: E731
        return ReplayPorts(reader, orders, bars, lambda: to_datetime(time.now_us), moves, spec.fill.slippage_bps)
    exchange = open_exchange(place)
    engine, calendar = exchange.engine, exchange.market.calendar
    days = DailyBars(kept_days(place / DAYS_FILE), calendar, spec.day_prices) if spec.source == "daily" else None
    venue = EngineVenue(engine, engine.main, feed=settings.alpaca.feed or "")

    def advance(to: datetime) -> None:
        if (to_us := from_datetime(to)) > engine.now_us:
            engine.advance(to_us)

    now: Callable[[], datetime] = lambda: to_datetime(engine.now_us)  # noqa: E731
    return ReplayPorts(venue, venue, EngineBars(engine, days), now, advance, spec.fill.slippage_bps)


def is_played(place: Path, settings: Settings) -> bool:
    """Return True if the exchange of a folder can be played in this process."""
    with translate_exchange_errors():
        return read_market(place).spec.venue.dialect == USUAL or door_to(settings.venue).in_process


def last_moment(place: Path) -> datetime:
    """Return the engine's time as the last line of an exchange's log has it."""
    log = place / LOG_FILE
    with translate_exchange_errors():
        if not log.is_file() or not log.stat().st_size:
            raise MarketError(
                f"{log} is missing or empty: it holds every order and fill of this exchange", RESTORE_BOTH
            )
        with log.open("rb") as file:
            ((number, line),) = deque(enumerate(file, start=1), maxlen=1)
        return to_datetime(parse_time(str(read_event(line, number)["at"])))


def _lines_before(log: Path, at: datetime) -> Iterator[bytes]:
    """Yield a log's lines up to the first command at a moment or later, and one that says that no more time passed."""
    next_one, last = 1, ""
    with log.open("rb") as file:
        for number, line in enumerate(file, start=1):
            event = read_event(line, number)
            begins = event.get("event") == REQUEST or event.get(NOTE)
            if begins and to_datetime(parse_time(str(event["at"]))) >= at:
                break
            next_one, last = number + 1, str(event["at"])
            yield line
    yield encode({"seq": next_one, "at": last, "event": "time_reserved", NOTE: True, "until": last}) + b"\n"


def books_at(books: SqliteLedger, then: Books, at: datetime) -> MemoryLedger:
    """Return a bot's books as they were at a moment, in memory; `then` is what the first pass after it read of them.

    What changes in its place, such as an order's state or the best price of a position, is taken from there.
    """
    made = MemoryLedger(books.account_number)
    old, new = books.tables, made.tables
    opening = old.book.get()
    assert opening is not None, "a pass ran on these books"
    new.book.put(opening)
    _copy_orders(old, new, then, at)
    for fill in old.fills.after(0).values():
        if fill.owned.fill.at < at:
            new.fills.add(fill)
    for movement in old.cash.after(0).values():
        if movement.at < at:
            new.cash.add(movement)
    for noted in old.acknowledged.after(0).values():
        if noted.at < at:
            new.acknowledged.add(noted)
    for held, kept in then.kept.items():
        if kept.best is not None and held[2] < at:
            new.marks.put(MarksRow(held, Marks(kept.best, kept.worst)))
    if then.standing.peak is not None:
        new.peak.put(then.standing.peak)
    if then.standing.reconciled is not None:
        new.reconciled.put(_compared_before(then.standing.reconciled, opening.at, at))
    _copy_calendar(old, new, at)
    for state in books.states_since(LONG_AGO, at - MOMENT):
        made.set_trading_state(state)
    return made


def _copy_orders(old: LedgerTables, new: LedgerTables, then: Books, at: datetime) -> None:
    known = {one.intent.client_order_id: one for one in (*then.intents, *then.promised.values())}
    for intent in old.intents.after(0).values():
        record = intent.record
        if record.intent.at < at:
            new.intents.add(IntentRow(known.get(record.intent.client_order_id, record)))
    seen = {one.venue_id: one for one in (*chain.from_iterable(then.chains.values()), *then.orders)}
    for row in old.orders.after(0).values():
        submitted = row.order.submitted_at
        if submitted is None or submitted < at:
            order = seen.get(row.order.venue_id, row.order)
            new.orders.add(StoredOrder(order, min(row.applied_at, at), row.was_promised))


def _copy_calendar(old: LedgerTables, new: LedgerTables, at: datetime) -> None:
    for session in old.sessions.span("date", LONG_AGO.date()).values():
        new.sessions.put(session)
    days = [(at - timedelta(days=back)).date() for back in range(-1, REACH_DAYS)]
    for claim in old.slots.among("session", days).values():
        if claim.at < at:
            new.slots.add(claim)
    for listing in old.listings.after(0).values():
        if listing.listing.read_at < at:
            new.listings.put(listing)


def _compared_before(mark: ReconcileMark, opened: datetime, at: datetime) -> ReconcileMark:
    """Return the last comparison before a moment; if the only one that is known came later, it found nothing then."""
    return mark if mark.at < at else ReconcileMark(opened, 0, 0)
