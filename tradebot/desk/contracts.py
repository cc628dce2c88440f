"""Choose the contracts that roots stand for: once a session, as known at its open, by date or by volume.

What was chosen takes the place of the universe where rules are made (`app.rules`). A position in an earlier contract
keeps its stops and exits, and moves on in its hour (`desk.contract_rolls`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tradebot.desk.listing_lookup import listed_for
from tradebot.errors import TradebotError
from tradebot.model.discovery import Discovery, Found
from tradebot.model.event import EventKind
from tradebot.model.instrument import Listing, Month
from tradebot.model.series import DAY
from tradebot.model.values import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World
from tradebot.signals.rolls import EARLIEST, Left, Volumes, by_day, earlier, left
from tradebot.timetable.sessions import BEGINS_AHEAD, ENDS_LATE

Months = Callable[[str, date, date], Sequence[Month]]
"""Returns the contracts of a root that are left from one date to another, in order, and the one after them."""
_LATE = timedelta(days=10)
"""By how much a venue may end a contract later than its exchange's rules say."""
_VOLUMES = BarNeed(DAY, EARLIEST.days, adjusted=False)


class _Standing(NamedTuple):
    """The contract that a root stands for, whether volume chose it, and what wasn't known of volumes."""

    symbol: str
    by_volume: bool = False
    unknown: str = ""


def choose(world: World, months: Months, names: Sequence[str], now: datetime) -> Discovery:
    """Return the contracts that names stand for in the session of this moment; keep them and tell what changed.

    What was chosen in a session stays, whatever becomes known during it. A dry run keeps and tells nothing.
    """
    before, session = world.facts.discovery(), _session(world, now)
    coin = world.rules.coin
    roots = {coin(symbol): symbol for symbol in before.symbols}
    if before.at is not None and _session(world, before.at) == session and [*roots] == [*map(coin, names)]:
        return before
    found = dict[str, _Standing]()
    for name in names:
        found[coin(name)] = _standing(world, months, name, session, now)
    chosen = Discovery(tuple(Found(one.symbol, now) for one in found.values()), now)
    if not world.dry_run:
        world.facts.put_discovery(chosen)
        for root, one in found.items():
            if one.symbol != roots.get(root) or one.unknown:
                told = {"root": root, "before": roots.get(root, ""), "by": "volume" if one.by_volume else "date"}
                unknown = {"unknown": one.unknown} if one.unknown else {}
                world.events.emit(EventKind.CONTRACT_CHOSEN.at(now, {**told, **unknown}, one.symbol))
    return chosen


def with_earlier_rolls(listings: Mapping[str, Listing], standing: frozenset[str], today: date) -> Mapping[str, Listing]:
    """Return listings in which a contract is left now if its root stands for the next one already."""
    found = dict(listings)
    for symbol, listing in listings.items():
        rolling = listing.rolling
        if rolling is not None and rolling.into in standing:
            found[symbol] = replace(listing, rolling=earlier(rolling, today))
    return found


def _session(world: World, at: datetime) -> date:
    """Return the date of the session of a moment, or of that day if the market is closed."""
    day = at.date()
    sessions = world.ledger.sessions(day - ENDS_LATE, day + BEGINS_AHEAD)
    return next((one.date for one in sessions if one.contains(at)), world.venue.day.date_of(at))


def _standing(world: World, months: Months, name: str, session: date, now: datetime) -> _Standing:
    try:
        return _Standing(world.rules.perpetual(name))
    except ValueError:
        pass
    listed = tuple(_as_listed(world, months(name, session - _LATE, session + EARLIEST)))
    by_volume = False
    for month in listed:
        if month.rolling.on <= session:
            continue
        if session < month.rolling.on - EARLIEST:
            return _Standing(month.symbol, by_volume)
        when, unknown = _left(world, month, session, now)
        if when.on > session:
            return _Standing(month.symbol, by_volume, unknown)
        by_volume = True
    raise AssertionError(f"{name} has no month on {session}")


def _as_listed(world: World, months: Sequence[Month]) -> Iterator[Month]:
    """Yield months as the venue lists them, and by the rules of their exchange as long as it doesn't."""
    listings = listed_for(world, [month.symbol for month in months])
    for month in months:
        listing = listings.get(month.symbol)
        yield month._replace(rolling=listing.rolling) if listing and listing.rolling else month


def _left(world: World, month: Month, session: date, now: datetime) -> tuple[Left, str]:
    """Return when a month is left, by the days before a session, and what isn't known of their volumes."""
    symbols = month.symbol, month.rolling.into
    try:
        bars = world.bars.closed(_VOLUMES, symbols, now)
    except TradebotError as away:
        return Left(month.rolling.on), away.message
    volumes = dict[str, Volumes]()
    for symbol in symbols:
        every = by_day(bars.get(symbol), "volume", world.venue.day)
        volumes[symbol] = {day: volume for day, volume in every.items() if day < session}
    lacking = [symbol for symbol in symbols if not volumes[symbol]]
    if lacking:
        return Left(month.rolling.on), f"{' and '.join(lacking)} without bars, so only the date counts"
    return left(month.rolling, *(volumes[symbol] for symbol in symbols)), ""
