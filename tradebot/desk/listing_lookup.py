"""Look up the venue's listings, for a pass that trades or one that only runs strategies."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from tradebot.model.books import Books
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import EventKind
from tradebot.model.instrument import Listing, ListingRecord
from tradebot.model.reasons import Reason
from tradebot.ports.world import World
from tradebot.reconciliation.listing_updates import (
    ListingsInForce,
    current_listings,
    fetch_listings,
    held_and_ordered,
    orders_off_grid,
    refusals,
)

NOT_LISTED = Decision(Gate.INSTRUMENT, Verdict.UNKNOWN, Reason.INSTRUMENT_UNKNOWN)


def read_listings(world: World, symbols: Iterable[str]) -> Mapping[str, Listing]:
    """Return the listings of these symbols without storing any, because the caller doesn't have the pass lock.

    Stored listings are used at any age: the pass that evaluates the candidates reads them again.
    """
    unique_symbols = tuple(dict.fromkeys(symbols))
    stored = {symbol: record.listing for symbol, record in world.ledger.listings(unique_symbols).items()}
    missing = [symbol for symbol in unique_symbols if symbol not in stored]
    return {**stored, **(fetch_listings(world.reader, missing) or {})}


def update_listings(world: World, books: Books, entered: Iterable[str]) -> ListingsInForce:
    """Return the listings of symbols that may be entered, or have a position or order; store them and report changes.

    If a listing has to be read for an entry, the listings of all tradable symbols are read. A dry run stores and
    reports nothing.
    """
    entered = tuple(entered)
    symbols = tuple(dict.fromkeys((*entered, *held_and_ordered(books))))
    besides = world.rules.every_symbol if entered else ()
    listed = current_listings(world.reader, world.ledger, books, symbols, books.at, besides, refusals(books))
    if listed.read and not world.dry_run:
        world.ledger.put_listings(listed.read)
        for record in listed.changed:
            _tell(world, books, record)
    return listed


def _tell(world: World, books: Books, record: ListingRecord) -> None:
    details = {change.name: f"{change.before}, now {change.now}" for change in record.changes}
    unfit = "; ".join(orders_off_grid(books, record.listing))
    orders = {"orders": unfit} if unfit else {}
    world.events.emit(EventKind.INSTRUMENT_CHANGED.at(books.at, {**details, **orders}, record.listing.symbol))


def other_contracts(
    coin: Callable[[str], str], entered: Iterable[str], open_symbols: Collection[str]
) -> Mapping[str, str]:
    """Map each symbol that may be entered to other symbols of the same coin that have a position or order.

    These are joined by commas; symbols without others are left out. A symbol that follows no single coin counts as its
    own coin.
    """

    def coin_or_self(symbol: str) -> str:
        try:
            return coin(symbol)
        except ValueError:
            return symbol

    symbols_by_coin = defaultdict[str, list[str]](list)
    for symbol in sorted(open_symbols):
        symbols_by_coin[coin_or_self(symbol)].append(symbol)
    others = (
        (symbol, [month for month in symbols_by_coin.get(coin_or_self(symbol), ()) if month != symbol])
        for symbol in entered
    )
    return {symbol: ", ".join(contracts) for symbol, contracts in others if contracts}
