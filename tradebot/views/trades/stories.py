"""Join the trades of a position that was moved from a contract into the next: one story, a trade for each contract."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from msgspec import Struct

from tradebot.exits.why import ROLLED_INTO, parse
from tradebot.model.position import Key
from tradebot.model.trade import Trade
from tradebot.model.venue_day import VenueDay


class StoryRow(Protocol):
    """What a trade's row says that tells whether another one goes on with it."""

    id: str
    strategy: str
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime | None
    reasons: tuple[str, ...]


Row = TypeVar("Row", bound=StoryRow)


class StoryLink(NamedTuple):
    """Where a trade stands in its story: the id of the story's first trade, and the contracts before and after."""

    story: str
    moved_from: str = ""
    moved_into: str = ""


def links(rows: Iterable[StoryRow], day: VenueDay) -> Mapping[str, StoryLink]:
    """Return, by its id, the link of each trade that was moved, or that goes on with one.

    A move ends with its session, so what it opened is the first trade in the next contract on that date.
    """
    known = sorted(rows, key=lambda row: row.opened_at)
    found = dict[str, StoryLink]()
    for row in known:
        into = _moved_into(row)
        following = next((one for one in known if _goes_on(row, one, into, day)), None) if into else None
        if following is not None:
            link = found.get(row.id, StoryLink(row.id))
            found[row.id] = link._replace(moved_into=into)
            found[following.id] = StoryLink(link.story, row.symbol)
    return found


def went_on(trades: Iterable[tuple[Trade, Sequence[str]]], day: VenueDay) -> frozenset[Key]:
    """Return the positions that were moved into the next contract, given all trades and why each was closed.

    Their stories aren't over with them, so they don't count as trades: the story's last contract does.
    """
    known = list(trades)
    if not any(ROLLED_INTO in reason for _, reasons in known for reason in reasons):
        return frozenset()
    keys = {str(number): trade.key for number, (trade, _) in enumerate(known)}
    rows = [
        _Ended(name, trade.strategy, trade.symbol, trade.side, trade.opened_at, trade.closed_at, tuple(reasons))
        for name, (trade, reasons) in zip(keys, known, strict=True)
    ]
    return frozenset(keys[name] for name, link in links(rows, day).items() if link.moved_into)


def stories(rows: Iterable[Row], day: VenueDay) -> Sequence[tuple[Row, ...]]:
    """Return trades by their stories, each from its first contract to its last; most are stories of one trade."""
    known = sorted(rows, key=lambda row: row.opened_at)
    of, found = links(known, day), dict[str, list[Row]]()
    for row in known:
        found.setdefault(of[row.id].story if row.id in of else row.id, []).append(row)
    return [tuple(story) for story in found.values()]


class _Ended(Struct):
    """A trade, as much of it as a link asks for."""

    id: str
    strategy: str
    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime | None
    reasons: tuple[str, ...]


def _goes_on(row: StoryRow, one: StoryRow, into: str, day: VenueDay) -> bool:
    same = (one.strategy, one.symbol, one.side) == (row.strategy, into, row.side)
    ended = row.closed_at
    return same and ended is not None and one.opened_at >= ended and day.date_of(one.opened_at) == day.date_of(ended)


def _moved_into(row: StoryRow) -> str:
    """Return the contract that a trade was moved into, by why it was closed; empty if it wasn't."""
    for reason in row.reasons:
        with suppress(ValueError):
            for part in parse(reason):
                if part.name == ROLLED_INTO:
                    return part.symbol
    return ""
