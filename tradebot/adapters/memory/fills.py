"""Fills in memory, in the order of their times, and what they add up to: each is added once, as it comes."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from tradebot.model.order import Fill
from tradebot.model.origin import Origin
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.totals import Totals

MOVED = frozenset({Origin.GIVEN_BACK, Origin.TAKEN_OVER})
LEFT_OUT = 200
"""A checkpoint leaves out this many of the newest fills, because fills may come late."""


def _at(owned: OwnedFill) -> datetime:
    return owned.fill.at


class RunningTotals:
    """What fills add up to, kept up with a list of them that others add to, oldest first.

    A fill that sorts before others is added by going back to a checkpoint, or to the start if that is later.
    """

    def __init__(self, fills: Sequence[OwnedFill]) -> None:
        self._fills = fills
        self._kept, self._kept_count = Totals(), 0
        self._totals, self._count = Totals(), 0

    def came_at(self, place: int) -> None:
        """Take note of a fill that was put into the list at `place`."""
        if place >= self._count:
            return
        if place < self._kept_count:
            self._kept, self._kept_count = Totals(), 0
        self._totals, self._count = self._kept, self._kept_count

    def totals(self) -> Totals:
        """Return what all fills in the list add up to."""
        count = len(self._fills)
        if self._count < count:
            self._totals, self._count = self._totals.after(self._fills[self._count :]), count
            if count - self._kept_count > 2 * LEFT_OUT:
                until = count - LEFT_OUT
                self._kept = self._kept.after(self._fills[self._kept_count : until])
                self._kept_count = until
        return self._totals


class Fills:
    """The fills and adjustments of one account: each once, forever."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[OwnedFill] = []
        self._written_at: list[datetime] = []
        self._places: dict[str, int] = {}
        self._in_time: list[OwnedFill] = []
        self._of_symbol: dict[str, list[OwnedFill]] = {}
        self._with_others: list[OwnedFill] = []
        self._filled: dict[str, Decimal] = {}
        self._reported: list[datetime] = []
        self._running = RunningTotals(self._in_time)

    def apply_fills(self, fills: Iterable[OwnedFill], at: datetime) -> int:
        """Append the fills whose activity ids are new; return how many there were."""
        return sum(self._apply_fill(owned, at) for owned in fills)

    def fills(self, symbol: str | None = None) -> Sequence[OwnedFill]:
        """Return all fills and adjustments, or those of one symbol, oldest first."""
        return tuple(self._in_time if symbol is None else self._of_symbol.get(symbol, ()))

    def written_fills(self) -> Iterator[tuple[OwnedFill, datetime]]:
        """Yield all fills in the order in which they were written, each with the time of that."""
        return zip(self._written, self._written_at, strict=True)

    def totals(self) -> Totals:
        """Return what all fills and adjustments add up to."""
        return self._running.totals()

    def keep_totals(self) -> None:
        """Keep nothing: the totals are always there."""

    def fills_with_others(self) -> Sequence[OwnedFill]:
        """Return the fills that aren't ours, and those that moved shares between others and us, oldest first."""
        return tuple(self._with_others)

    def known_fills(self, activity_ids: Collection[str]) -> Collection[str]:
        """Return those of these activity ids that are in the books."""
        return frozenset(name for name in activity_ids if name in self._places)

    def filled_quantities(self, venue_ids: Collection[str]) -> Mapping[str, Decimal]:
        """Return how many shares the fills of each of these orders add up to, unsigned, without zeros."""
        return {name: self._filled[name] for name in venue_ids if name in self._filled}

    def last_reported_fill(self, until: datetime) -> datetime | None:
        """Return the time of the last fill up to `until` that the venue reported, or None."""
        place = bisect_right(self._reported, until)
        return self._reported[place - 1] if place else None

    def _apply_fill(self, owned: OwnedFill, at: datetime) -> bool:
        fill = owned.fill
        if fill.activity_id in self._places:
            return False
        self._places[fill.activity_id] = len(self._written)
        self._written.append(owned)
        self._written_at.append(at)
        place = bisect_right(self._in_time, fill.at, key=_at)
        self._in_time.insert(place, owned)
        self._running.came_at(place)
        insort(self._of_symbol.setdefault(fill.symbol, []), owned, key=_at)
        self._filled[fill.venue_order_id] = self._filled.get(fill.venue_order_id, Decimal(0)) + fill.quantity
        if fill.venue_order_id:
            insort(self._reported, fill.at)
        if owned.strategy == FOREIGN or owned.origin in MOVED:
            insort(self._with_others, owned, key=_at)
        return True

    def _opened(self, strategy: str, symbol: str, at: datetime, seen: set[str]) -> Iterator[Fill]:
        """Yield the fills that opened a position, those under the symbols that it had before a rename too.

        A rename closes the lots of the old symbol right before it opens those of the new one.
        """
        same_time = self._of_symbol.get(symbol, [])
        for owned in same_time[bisect_left(same_time, at, key=_at) : bisect_right(same_time, at, key=_at)]:
            if owned.strategy != strategy or owned.fill.activity_id in seen:
                continue
            seen.add(owned.fill.activity_id)
            yield owned.fill
            place = self._places[owned.fill.activity_id]
            before = self._written[place - 1] if place else None
            if before and owned.about and before.about == owned.about and not owned.fill.venue_order_id:
                yield from self._opened(strategy, before.fill.symbol, at, seen)
