"""Query what the venue lists, for a pass that acts or one that only asks strategies."""

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
    misfits,
    refusals,
)

NOT_LISTED = Decision(Gate.INSTRUMENT, Verdict.UNKNOWN, Reason.INSTRUMENT_UNKNOWN)


def read_listings(world: World, symbols: Iterable[str]) -> Mapping[str, Listing]:
    """Return what is listed of these symbols, and write nothing: whoever asks strategies doesn't hold the pass lock.

    What is kept counts, however old it is: the pass that judges what strategies want reads it again.
    """
    asked = tuple(dict.fromkeys(symbols))
    kept = {symbol: record.listing for symbol, record in world.ledger.listings(asked).items()}
    missing = [symbol for symbol in asked if symbol not in kept]
    return {**kept, **(fetch_listings(world.reader, missing) or {})}


def update_listings(world: World, books: Books, entered: Iterable[str]) -> ListingsInForce:
    """Return what is listed of what may be entered and of what is held or ordered; keep what was read, tell changes.

    If anything has to be read for an entry, everything that may be traded is. A dry run keeps and tells nothing.
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
    unfit = "; ".join(misfits(books, record.listing))
    orders = {"orders": unfit} if unfit else {}
    world.events.emit(EventKind.INSTRUMENT_CHANGED.at(books.at, {**details, **orders}, record.listing.symbol))


def other_contracts(
    coin: Callable[[str], str], entered: Iterable[str], open_symbols: Collection[str]
) -> Mapping[str, str]:
    """Return, by symbol that may be entered, what else is held or ordered of its coin; those without it are left out.

    A symbol that follows no single coin stands for itself.
    """

    def coin_or_self(symbol: str) -> str:
        try:
            return coin(symbol)
        except ValueError:
            return symbol

    held = defaultdict[str, list[str]](list)
    for symbol in sorted(open_symbols):
        held[coin_or_self(symbol)].append(symbol)
    others = ((symbol, [one for one in held.get(coin_or_self(symbol), ()) if one != symbol]) for symbol in entered)
    return {symbol: ", ".join(found) for symbol, found in others if found}
