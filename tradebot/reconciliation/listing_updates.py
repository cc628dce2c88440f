"""Read the venue's listings once per venue day, and at once if one is missing or after an order is refused.

The venue's terms apply as soon as they are read. A change is a finding for the remainder of that day. After that it is
a finding only while an order of ours no longer fits, or a position was opened with a different multiplier.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType

from msgspec import Struct, field

from tradebot.errors import ExitCode, OperatorError, TemporaryError, word
from tradebot.model.books import Books
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.instrument import Listing, ListingRecord
from tradebot.model.intent import IntentState, is_our_order_id
from tradebot.model.order import Order
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.ports.broker import BrokerReader
from tradebot.ports.stores import Calendar, Ledger, Listings
from tradebot.timetable.sessions import session_date

EVER = datetime.min.replace(tzinfo=UTC)


class ListingsInForce(Struct, frozen=True):
    """The current listings by symbol, as stored in the books.

    `read` are the listings that were just read and have to be stored; those in `changed` differ from the stored ones.
    `unlisted` are queried symbols that the venue doesn't list; an earlier listing of such a symbol stays valid for
    existing positions.
    """

    records: Mapping[str, ListingRecord] = field(default_factory=dict)
    read: tuple[ListingRecord, ...] = ()
    changed: tuple[ListingRecord, ...] = ()
    unlisted: frozenset[str] = frozenset()

    @property
    def listings(self) -> Mapping[str, Listing]:
        return {symbol: record.listing for symbol, record in self.records.items()}


def current_listings(
    reader: BrokerReader,
    stored: Listings,
    calendar: Calendar,
    symbols: Collection[str],
    now: datetime,
    besides: Collection[str] = (),
    refused: Mapping[str, datetime] = MappingProxyType({}),
) -> ListingsInForce:
    """Return the listings of these symbols: read from the venue if they are due, otherwise the stored ones.

    A listing is due if it is from another venue day or, in a margin account, if it has no margin levels. If any listing
    has to be read, those of the symbols in `besides` that are due are read in the same request. `refused` says when an
    order in a symbol was last refused, because the venue may have changed its terms within the day. If the venue
    doesn't answer, the stored listings stay in force.
    """
    records = dict(stored.listings(symbols)) if symbols else {}
    current = _same_day_check(calendar, now, reader.capabilities.day)
    margined = reader.capabilities.settlement is Settlement.MARGINED

    def is_current(listing: Listing) -> bool:
        return current(listing.read_at) and bool(listing.margin_levels or not margined)

    due = _due(records, symbols, is_current, refused)
    if not due:
        return ListingsInForce(records)
    if besides:
        records |= stored.listings(besides)
        due = _due(records, tuple(dict.fromkeys((*symbols, *besides))), is_current, refused)
    listings = fetch_listings(reader, due)
    if listings is None:
        return ListingsInForce(records)
    read, changed = list[ListingRecord](), list[ListingRecord]()
    for symbol, listing in listings.items():
        before = records.get(symbol)
        records[symbol] = record = before.read_again(listing) if before else ListingRecord(listing)
        read.append(record)
        if before and record.before is not before.before:
            changed.append(record)
    return ListingsInForce(
        records, tuple(read), tuple(changed), frozenset(symbol for symbol in due if symbol not in listings)
    )


def fetch_listings(reader: BrokerReader, symbols: Sequence[str]) -> Mapping[str, Listing] | None:
    """Fetch the venue's current listings of these symbols; None if it doesn't answer."""
    try:
        return reader.listings(symbols) if symbols else {}
    except TemporaryError:
        return None


def refusals(books: Books) -> Mapping[str, datetime]:
    """Return when the venue last refused an order of ours, by symbol."""
    refused = (intent for intent in books.intents if intent.state is IntentState.REJECTED and intent.intent.makes_order)
    return {record.intent.key.symbol: record.updated_at for record in refused}


def _due(
    records: Mapping[str, ListingRecord],
    symbols: Collection[str],
    is_current: Callable[[Listing], bool],
    refused: Mapping[str, datetime],
) -> Sequence[str]:
    """Return the symbols without a stored listing, or with one that isn't current or was read before a refusal."""

    def is_known(symbol: str) -> bool:
        listing_record = records.get(symbol)
        read_at = listing_record.listing.read_at if listing_record else EVER
        return listing_record is not None and is_current(listing_record.listing) and read_at > refused.get(symbol, EVER)

    return [symbol for symbol in symbols if not is_known(symbol)]


def _same_day_check(calendar: Calendar, now: datetime, day: VenueDay) -> Callable[[datetime], bool]:
    """Return a test for whether a moment falls on the same venue day as `now`.

    Its results are cached, as most listings were read at one moment.
    """
    today = session_date(calendar, now, day)
    return cache(lambda at: session_date(calendar, at, day) == today)


def require_listing(reader: BrokerReader, ledger: Ledger, symbol: str, now: datetime) -> Listing:
    """Return the listing of a symbol; raise OperatorError if there is none, because no order could be sent."""
    listed = current_listings(reader, ledger, ledger, (symbol,), now)
    if symbol in listed.unlisted or symbol not in listed.records:
        raise OperatorError(
            f"the broker doesn't list {word(symbol)}, so the bot couldn't send an order in it",
            "close it at the broker, or try again later if the broker didn't answer",
            code=ExitCode.REFUSED,
        )
    return listed.records[symbol].listing


def held_and_ordered(books: Books) -> Iterator[str]:
    """Yield the symbols of our positions and of our orders that may still fill, possibly with repeats."""
    yield from (position.symbol for position in books.totals.own_positions())
    yield from (order.symbol for order in books.working if is_ours(books, order))
    yield from (record.intent.key.symbol for record in books.unresolved_intents)


def is_ours(books: Books, order: Order) -> bool:
    return is_our_order_id(order.client_order_id) or books.intent_behind(order) is not None


def orders_off_grid(books: Books, listing: Listing) -> Iterator[str]:
    """Yield a text for each of our working orders' prices off the tick, and for each quantity not in whole lots."""
    for order in books.working:
        if order.symbol != listing.symbol or not is_ours(books, order):
            continue
        for price in filter(None, (order.limit_price, order.stop_price)):
            if price % listing.tick_at(price):
                yield f"order {order.client_order_id}: {price:f} is off the tick"
        if order.open_quantity % listing.instrument.lot:
            yield f"order {order.client_order_id}: {order.open_quantity:f} isn't a whole number of lots"


def findings(books: Books, listed: ListingsInForce, stored: Iterable[ListingRecord]) -> Iterator[Finding]:
    """Yield findings about changed terms, and about our positions that the venue doesn't list.

    `stored` are all stored listings; those just `listed` take precedence.
    """
    records = {record.listing.symbol: record for record in stored} | dict(listed.records)
    is_today = _same_day_check(books, books.at, books.day)
    for symbol, record in sorted(records.items()):
        unfit = tuple(orders_off_grid(books, record.listing)) if record.before else ()
        is_new = record.changed_at is not None and is_today(record.changed_at)
        opened = books.opened_otherwise(record.listing.instrument)
        if is_new or unfit or opened:
            held_since = (
                (f"the position was opened when the multiplier was {opened.multiplier:f} {opened.currency}",)
                if opened
                else ()
            )
            evidence = (*map(str, record.changes), *unfit, *held_since)
            yield Finding(FindingKind.INSTRUMENT_CHANGED, symbol, None, None, evidence)
    own = books.totals.own_quantities()
    for symbol in sorted(symbol for symbol, shares in own.items() if shares):
        if symbol not in records or symbol in listed.unlisted:
            yield Finding(FindingKind.INSTRUMENT_UNKNOWN, symbol, own[symbol], None)
